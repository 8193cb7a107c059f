# SPDX-License-Identifier: BSD-2-Clause
"""A configuration of gunicorn that gives Debian's httpbin, which is 0.7, the /json that httpbin.org has, to the byte."""

SLIDES = """{
  "slideshow": {
    "author": "Yours Truly", 
    "date": "date of publication", 
    "slides": [
      {
        "title": "Wake up to WonderWidgets!", 
        "type": "all"
      }, 
      {
        "items": [
          "Why <em>WonderWidgets</em> are great", 
          "Who <em>buys</em> WonderWidgets"
        ], 
        "title": "Overview", 
        "type": "all"
      }
    ], 
    "title": "Sample Slide Show"
  }
}
"""


def post_worker_init(worker):
    import httpbin

    @httpbin.app.route("/json")
    def json():
        return httpbin.app.response_class(SLIDES, mimetype="application/json")
