"""httpx's functions, with the suite's patience instead of five seconds: a busy machine is no fault of who is asked."""

import functools

import httpx

TIMEOUT_S = 60

get = functools.partial(httpx.get, timeout=TIMEOUT_S)
post = functools.partial(httpx.post, timeout=TIMEOUT_S)
put = functools.partial(httpx.put, timeout=TIMEOUT_S)
request = functools.partial(httpx.request, timeout=TIMEOUT_S)
stream = functools.partial(httpx.stream, timeout=TIMEOUT_S)
