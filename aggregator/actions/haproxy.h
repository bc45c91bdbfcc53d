/* A conversation with HAProxy's runtime socket, for the driver of that name. */
#ifndef SB_ACTIONS_HAPROXY_H
#define SB_ACTIONS_HAPROXY_H

#include "aggregator/actions/action.h"

enum { HAPROXY_ANSWER = 256 * 1024, HAPROXY_WHY = 160 };

struct haproxy_talk {
    struct mono until;
    char text[HAPROXY_ANSWER]; /* the answer, terminated */
    bool sent;                 /* the command may have been read */
    char why[HAPROXY_WHY];     /* when there is none */
};

/* Sends one line, with its end, and hears the answer. False: k->why. */
bool haproxy_command(const char *where, const char *text, struct haproxy_talk *k);
/* "unix:/path", "192.0.2.1:9999" or "[2001:db8::1]:9999". */
bool haproxy_address_ok(const char *where);

#endif
