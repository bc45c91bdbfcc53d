/* What other threads post to a loop. Shared by the loop and by every thread that may post, each holding a
 * reference, so that a thread which comes back after the loop has gone finds a closed box instead of freed
 * memory. Private to common/net. */
#ifndef SB_NET_INBOX_H
#define SB_NET_INBOX_H

#include "common/base/err.h"

struct inbox;
struct loop;

struct inbox *inbox_ref(struct loop *l); /* another reference to the loop's own */
struct inbox *inbox_new(struct err *e);  /* with one reference */
struct inbox *inbox_share(struct inbox *b);
void inbox_unref(struct inbox *b);
/* 0, ERR_NOMEM, or ERR_STATE once the loop is being freed. */
int inbox_post(struct inbox *b, void (*fn)(void *arg), void *arg);

/* For the loop's thread alone. */
int inbox_fd(struct inbox *b);     /* readable while there are posts */
void inbox_run(struct inbox *b);   /* all that are there, in order */
void inbox_close(struct inbox *b); /* drops what has not run, refuses what comes */

#endif
