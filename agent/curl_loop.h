/* libcurl's multi interface on a libevent loop. Knows nothing of what is transferred. */
#ifndef TENURE_CURL_LOOP_H
#define TENURE_CURL_LOOP_H

#include <curl/curl.h>
#include <event2/event.h>

#include "err.h"

struct curl_loop;

/* The transfer is over. Called from the loop, outside libcurl: the handle may be removed and freed. */
typedef void curl_loop_done(CURL *easy, CURLcode result, void *arg);

struct curl_loop *curl_loop_new(struct event_base *base, struct err *err);
/* All handles must have been removed. */
void curl_loop_free(struct curl_loop *loop);
/* Begins the transfer of a handle whose options are set; CURLOPT_PRIVATE is this module's. -1 if libcurl refuses. */
int curl_loop_add(struct curl_loop *loop, CURL *easy, curl_loop_done *done, void *arg);
void curl_loop_remove(struct curl_loop *loop, CURL *easy);

#endif
