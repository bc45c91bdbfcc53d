/* Errors as values. A function that can fail returns 0 or one of the negative
 * codes below; where the fact is known it also fills in a bounded sentence. The
 * text is logged once, at the edge, by whoever decides what to do. */
#ifndef SB_BASE_ERR_H
#define SB_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

enum err_code {
    ERR_NOMEM = -1,     /* the memory budget handed in is used up */
    ERR_LIMIT = -2,     /* input is well formed but larger than allowed */
    ERR_MALFORMED = -3, /* input breaks its format */
    ERR_RANGE = -4,     /* a value lies outside its bounds */
    ERR_CONFIG = -5,    /* the configuration is wrong */
    ERR_NOTFOUND = -6,  /* what was asked for is not there */
    ERR_EXISTS = -7,    /* it is there already */
    ERR_STATE = -8,     /* not possible in the present state */
    ERR_AGAIN = -9,     /* not now; the same call may succeed later */
    ERR_TIMEOUT = -10,  /* the deadline passed */
    ERR_IO = -11,       /* the operating system refused */
    ERR_TLS = -12,      /* a certificate, key or handshake */
    ERR_DENIED = -13,   /* identity or permission */
    ERR_VERSION = -14,  /* a version this program does not speak */
    ERR_UNSUPPORTED = -15,
};

struct err {
    int code;       /* 0 while nothing has failed */
    char text[384]; /* always terminated; cut, never overrun */
};

/* Stores code and the formatted sentence in *e (e may be NULL) and returns code, so that
 * `return err_set(e, ERR_RANGE, "...")` reads well. The arguments may point into e->text. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set, with ": " and strerror(errnum) behind the sentence. */
int err_sys(struct err *e, int code, int errnum, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Puts "prefix: " before the text that is there. Returns e->code. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A short English name of a code ("malformed"), for logs. Never NULL. */
const char *err_name(int code);

#endif
