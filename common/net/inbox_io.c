/* What other threads post to a loop: see inbox.h. */
#include "common/net/inbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct post {
    struct post *next;
    void (*fn)(void *arg);
    void *arg;
};

struct inbox {
    pthread_mutex_t lock; /* guards all below */
    struct post *first, **last;
    int fd; /* eventfd, readable while there are posts; -1 once closed */
    unsigned refs;
};

struct inbox *inbox_new(struct err *e)
{
    struct inbox *b = calloc(1, sizeof(*b));

    if (!b) {
        err_set(e, ERR_NOMEM, "no memory for an event loop");
        return NULL;
    }
    b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (b->fd < 0) {
        err_sys(e, ERR_IO, errno, "eventfd");
        free(b);
        return NULL;
    }
    pthread_mutex_init(&b->lock, NULL);
    b->last = &b->first;
    b->refs = 1;
    return b;
}

struct inbox *inbox_share(struct inbox *b)
{
    pthread_mutex_lock(&b->lock);
    b->refs++;
    pthread_mutex_unlock(&b->lock);
    return b;
}

void inbox_unref(struct inbox *b)
{
    bool last;

    pthread_mutex_lock(&b->lock);
    last = --b->refs == 0;
    pthread_mutex_unlock(&b->lock);
    if (last) {
        pthread_mutex_destroy(&b->lock);
        free(b);
    }
}

int inbox_post(struct inbox *b, void (*fn)(void *arg), void *arg)
{
    struct post *p = malloc(sizeof(*p));
    uint64_t one = 1;
    int rc = 0;

    if (!p)
        return ERR_NOMEM;
    *p = (struct post){.fn = fn, .arg = arg};
    pthread_mutex_lock(&b->lock);
    if (b->fd < 0) {
        rc = ERR_STATE;
    } else {
        *b->last = p;
        b->last = &p->next;
        /* Fails only when the counter is full, and then it is readable already. */
        if (write(b->fd, &one, sizeof(one)) < 0)
            rc = 0;
    }
    pthread_mutex_unlock(&b->lock);
    if (rc)
        free(p);
    return rc;
}

/* All that is there, and an empty box. */
static struct post *inbox_take(struct inbox *b, bool shut)
{
    struct post *p;
    uint64_t n;

    pthread_mutex_lock(&b->lock);
    p = b->first;
    b->first = NULL;
    b->last = &b->first;
    if (read(b->fd, &n, sizeof(n)) < 0)
        n = 0;
    if (shut) {
        close(b->fd);
        b->fd = -1;
    }
    pthread_mutex_unlock(&b->lock);
    return p;
}

void inbox_run(struct inbox *b)
{
    struct post *p = inbox_take(b, false), *next;

    for (; p; p = next) {
        next = p->next;
        p->fn(p->arg);
        free(p);
    }
}

void inbox_close(struct inbox *b)
{
    for (struct post *p = inbox_take(b, true), *next; p; p = next) {
        next = p->next;
        free(p);
    }
}

int inbox_fd(struct inbox *b)
{
    return b->fd;
}
