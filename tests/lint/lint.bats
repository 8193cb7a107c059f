#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The linters themselves: each must accept a good tree and refuse a bad one, by file and line where it can.

bats_require_minimum_version 1.5.0

LINT=$BATS_TEST_DIRNAME/../../scripts/lint
SPDX='/* SPDX-License-Identifier: BSD-2-Clause */'

setup()
{
    cd "$BATS_TEST_TMPDIR" || return
    mkdir -p user/base user/http user/io user/keyctl user/store bpf include/keygate scripts
    source_file user/base/good.h '#include <stdint.h>' '' 'int kg_good(int number);'
    source_file user/base/good.c '#include "base/good.h"' '' 'int kg_good(int number)' '{' '    return number + 1;' '}'
    printf '#!/bin/bash\n# SPDX-License-Identifier: BSD-2-Clause\necho "$@"\n' >scripts/good
}

# A C file with a licence line and the given lines.
source_file()
{
    local path=$1
    shift

    printf '%s\n' "$SPDX" "$@" >"$path"
}

# Function of N lines between its braces and with them.
function_of()
{
    printf 'int kg_long(int n);\n\nint kg_long(int n)\n{\n'
    seq -f '    n += %g;' $(($1 - 3))
    printf '    return n;\n}\n'
}

accepts()
{
    run -0 "$LINT/$1" "$BATS_TEST_TMPDIR"
    [[ -z $output ]]
}

# The linter fails, and says the given text.
refuses()
{
    run "$LINT/$1" "$BATS_TEST_TMPDIR"
    [[ $status -ne 0 ]]
    [[ $output == *"$2"* ]] || {
        echo "said: $output"
        return 1
    }
}

@test "every linter accepts a good tree" {
    for linter in format rooms limits shell cppcheck tidy; do
        accepts "$linter"
    done
}

@test "format refuses a file that is not laid out" {
    source_file user/base/bad.c 'int  bad( void ) { return 1; }'
    refuses format "user/base/bad.c:2:"
}

@test "rooms refuses an include of a later room" {
    source_file user/http/bad.c '#include "base/good.h"' '#include "io/poller.h"'
    refuses rooms "user/http/bad.c:3: room http may not use room io"
}

@test "rooms accepts an include of an earlier room and of the contract" {
    source_file user/io/fine.c '#include "http/head.h"' '#include "keygate/abi.h"' '#include "io/fine.h"'
    accepts rooms
}

@test "rooms refuses keyctl all but base and http" {
    source_file user/keyctl/fine.c '#include "base/good.h"' '#include "http/head.h"' '#include <jansson.h>'
    accepts rooms
    source_file user/keyctl/bad.c '#include "model/schema.h"'
    refuses rooms "user/keyctl/bad.c:2: keyctl may not use room model"
}

@test "rooms refuses keyctl to all rooms" {
    source_file user/base/bad.c '#include "keyctl/output.h"'
    refuses rooms "user/base/bad.c:2: room base may not use room keyctl"
}

@test "rooms refuses the kernel side and the contract every room" {
    source_file bpf/bad.c '#include "base/good.h"'
    refuses rooms "bpf/bad.c:2: bpf/ may not use room base"
    rm bpf/bad.c
    source_file include/keygate/bad.h '#include "store/store.h"'
    refuses rooms "include/keygate/bad.h:2: include/ may not use room store"
}

@test "rooms refuses ways around the room's name" {
    source_file user/base/bad.c '#include "../http/head.h"'
    refuses rooms "name the room"
    source_file user/base/bad.c '#  include "good.h"'
    refuses rooms 'include it as "base/good.h"'
    source_file user/base/bad.c '#include <http/head.h>'
    refuses rooms "in quotes"
    source_file user/base/bad.c '#include "tests/helper.h"'
    refuses rooms "is in no room"
}

@test "rooms refuses a room that is not in the order" {
    mkdir user/util
    source_file user/util/bad.c
    refuses rooms "room util is not in the order"
}

@test "limits accepts a function of 60 lines and refuses one of 61" {
    source_file user/base/long.c "$(function_of 60)"
    accepts limits
    source_file user/base/long.c "$(function_of 61)"
    refuses limits "user/base/long.c:5: function of 61 lines"
}

@test "limits refuses a file of more than 800 lines, wherever it comes in the row" {
    source_file user/base/a.c "$(seq -f '/* %g */' 800)"
    refuses limits "user/base/a.c:801: file of 801 lines"
    rm user/base/a.c
    source_file user/store/z.c "$(seq -f '/* %g */' 800)"
    refuses limits "user/store/z.c:801: file of 801 lines"
    source_file user/store/z.c "$(seq -f '/* %g */' 799)"
    accepts limits
}

@test "limits refuses unbounded functions, but not in comments and not their bounded twins" {
    local name

    source_file user/base/some.c '/* strcpy(a, b) */' '/*' ' * sprintf(a, b)' ' */' 'snprintf(a, 1, b); fgets(a, 1, b);'
    accepts limits
    for name in strcpy strcat sprintf vsprintf strtok gets atoi alloca; do
        source_file user/base/some.c "int x = $name(a, b); /* fine */"
        refuses limits "user/base/some.c:2: function that does not exist here"
    done
}

@test "limits refuses a file without its licence line" {
    echo 'int x;' >user/base/bad.c
    refuses limits "user/base/bad.c:1: no line"
    rm user/base/bad.c
    printf '#!/bin/sh\necho\n' >scripts/bad
    refuses limits "scripts/bad:1: no line"
    rm scripts/bad
    source_file bpf/bad.c
    refuses limits "bpf/bad.c:1: no line 'SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause'"
}

@test "limits refuses what is marked as still to be done" {
    source_file user/base/bad.c "/* TO""DO: later */"
    refuses limits "user/base/bad.c:2:"
    source_file user/base/bad.c "/* FIX""ME */"
    refuses limits "user/base/bad.c:2:"
    source_file user/base/bad.c "char name[] = \"/tmp/XXXXXX\"; /* mktemp's own */"
    accepts limits
}

@test "shell refuses what ShellCheck refuses" {
    printf '#!/bin/bash\n# SPDX-License-Identifier: BSD-2-Clause\nrm -rf $1/x\n' >scripts/bad
    refuses shell "scripts/bad:3:8:"
}

@test "cppcheck refuses a read out of bounds" {
    source_file user/base/bad.c 'int kg_bad(void)' '{' '    int few[2] = { 0 };' '    return few[2];' '}'
    refuses cppcheck "user/base/bad.c:5:"
}

@test "tidy refuses a function that is too deep" {
    source_file user/base/bad.c 'int kg_bad(int n);' 'int kg_bad(int n)' '{' \
        'if (n > 1) { if (n > 2) { if (n > 3) { if (n > 4) { if (n > 5) { return 1; } } } } }' '    return 0;' '}'
    refuses tidy "readability-function-size"
}

@test "tidy refuses a null dereference" {
    source_file user/base/bad.c 'int kg_bad(void);' 'int kg_bad(void)' '{' '    int *p = 0;' '    return *p;' '}'
    refuses tidy "user/base/bad.c:6:"
}
