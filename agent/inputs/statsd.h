/* StatsD and DogStatsD 1.0 to 1.2: datagrams in, series out. Counters become
 * cumulative, timers, histograms and distributions become sketches of what
 * came since the tick before, sets the number of their distinct values.
 *
 * Names and tags become metric and label names by the rules of docs/metrics.md. A line is
 * found again by its raw bytes (type, name, tags), so the rules are applied once for each
 * spelling of a series; after that a sample costs one hash and no allocation. A timestamp
 * (|T) is taken as now; container ids and fields of later versions are read over.
 *
 * The tick is a compromise: a window at the aggregator is cut at ticks, so a longer
 * one blurs its edges, while each tick of a sketch costs a hundred bytes or more. 5 s
 * blurs a window of a minute by a twelfth at most, at two ticks in a batch. */
#ifndef SB_AGENT_STATSD_H
#define SB_AGENT_STATSD_H

#include "agent/ship/grid.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/config/config.h"
#include "common/wire/wire.h"

enum statsd_error {
    STATSD_OK,
    STATSD_FORMAT,   /* not NAME:VALUE|TYPE… */
    STATSD_NAME,     /* empty, or too long */
    STATSD_TYPE,     /* none of c g ms h d s */
    STATSD_VALUE,    /* not a finite number */
    STATSD_NEGATIVE, /* a counter counts up only */
    STATSD_RATE,     /* not in (0, 1] */
    STATSD_TAGS,     /* too many, or too long */
    STATSD_KIND,     /* the name is in use with another type */
    STATSD_SERIES,   /* max_series are there */
    STATSD_MEMORY,   /* max_memory is used up */
    STATSD_SET,      /* too many distinct values in one set */
    STATSD_EVENT,    /* not an event or a service check as it should be */
    STATSD_EVENTS,   /* too many of those in one batch */
    STATSD_ERRORS
};
const char *statsd_error_name(enum statsd_error e);

enum { STATSD_MAX_NAME = 512, STATSD_MAX_TAGS = 8192, STATSD_MAX_EVENTS = 256, STATSD_MAX_SET = 65536 };

/* One line, taken apart; views of the line. */
struct statsd_line {
    struct bytes name, values, tags; /* values: joined by ':'; tags: joined by ',' */
    char type;                       /* c g m h d s; m for ms */
    double rate;                     /* 1 when not given */
    bool stamped;
};
enum statsd_error statsd_parse_line(const char *p, size_t n, struct statsd_line *out);
/* A decimal number that fills p[n]; false for anything else, infinities and NaN included. */
bool statsd_number(const char *p, size_t n, double *out);

/* Values of a metric up to a bound are counted. */
enum { STATSD_MAX_THRESHOLDS = 32 };
struct statsd_threshold {
    char metric[WIRE_MAX_NAME + 1], text[32];
    double bound;
};

struct statsd;
struct statsd_params {
    struct statsd_threshold thresholds[STATSD_MAX_THRESHOLDS];
    uint32_t n_thresholds;
    uint32_t max_series;
    size_t max_memory;
    uint32_t expire; /* ticks without a sample after which a series is forgotten */
    uint64_t seed[2];
};
/* [statsd] thresholds into out; ERR_CONFIG with the sentence. */
int statsd_thresholds(const struct section *s, struct statsd_params *out, struct err *e);
struct statsd *statsd_new(const struct statsd_params *p); /* NULL without memory */
void statsd_free(struct statsd **s);

/* A datagram: lines separated by newlines. Total. */
void statsd_packet(struct statsd *s, struct wall now, const char *p, size_t n);
/* A tick of g is open: puts every series that is known, then begins the next
 * interval. All ticks of one statsd go to one grid, which is released before it. */
void statsd_flush(struct statsd *s, struct grid *g);
/* What a flush would put, elsewhere: nothing is begun anew. `extra` says which labels the next sample has. */
void statsd_show(const struct statsd *s, struct sink *out,
                 void (*extra)(void *arg, const struct wire_label *labels, uint32_t n), void *arg);
/* Events and service checks since the last clear; borrowed until then. */
const struct wire_event *statsd_events(const struct statsd *s, uint32_t *n);
void statsd_events_clear(struct statsd *s);

struct statsd_stats {
    uint64_t packets, bytes, samples, events, stamped;
    uint64_t errors[STATSD_ERRORS];
    uint32_t series;
    size_t memory;
};
struct statsd_stats statsd_stats(const struct statsd *s);
void statsd_metrics(const struct statsd *s, struct sink *out);
extern const struct option_row statsd_options[];
extern const size_t statsd_n_options;

/* ---- sockets: statsd_io.c ---- */

struct loop;
struct log;
struct statsd_listener;
/* `address`: udp://127.0.0.1:8125, udp://[::1]:8125 (port 0: any), unixgram:/path. */
struct statsd_listener *statsd_listen(struct loop *l, struct log *log, const char *address,
                                      int receive_buffer, struct statsd *s, struct err *e);
void statsd_listener_free(struct statsd_listener **l);
/* Takes in what the kernel holds already, up to a bound: before a last flush. */
void statsd_listener_drain(struct statsd_listener *l);
unsigned statsd_listener_port(const struct statsd_listener *l); /* 0 for unixgram */
/* Datagrams that the kernel dropped because the buffer was full. */
uint64_t statsd_listener_dropped(const struct statsd_listener *l);
void statsd_listener_metrics(struct statsd_listener *const *l, size_t n, struct sink *out);
/* Whether the address can be understood: for --check-config. */
int statsd_address_check(const char *address, struct err *e);

#endif
