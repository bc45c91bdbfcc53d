/* The names under which a listener may be asked. A browser that was lured to another name (DNS
 * rebinding) sends that name in Host, so a listener serves only names that are its own. Pure. */
#ifndef SB_NET_HOST_H
#define SB_NET_HOST_H

#include <stdbool.h>
#include <stddef.h>

/* Splits "name", "name:port", "[v6]:port" into the name, terminated in
 * name[cap], and the port (0 when none). False when it is none of these. */
bool host_split(const char *text, char *name, size_t cap, unsigned *port);
/* True for host:port texts that only this machine can reach: localhost, an address of 127.0.0.0/8, ::1. */
bool host_is_loopback(const char *address);
/* Whether a URL is http:// to such a host. No user may stand
 * in it: "localhost:80@" is one, before another host. */
bool host_url_is_loopback(const char *url);
/* Whether a Host header (NULL when absent: false) names
 * localhost, 127.0.0.1, ::1 or the listening address. */
bool host_is_ours(const char *host, const char *listen);

#endif
