"""By which class of the spec's rates a request is counted: regular expressions of its path, for all
that counts requests before an instance does."""

LOGIN = "^/api/auth/(?:login|register|password|reset-password)/?$"
IMAGE = "^/api/(?:photos/[^/]+|share/[^/]+/photos/[^/]+)/image/?$"
SHARE = "^(?:/api)?/share"
FORM = "^/api/photos/?$"
DIRECT_UPLOAD = "^/api/photos/(?:presigned-url|confirm)/?$"

READING = "^(?:GET|HEAD|OPTIONS)$"
"""Methods that change nothing."""
