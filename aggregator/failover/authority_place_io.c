/* The place of etcd's leader: see authority_place. The nearest member is asked who it is and who leads; when that is another
 * one, each of the others is asked who it is until the leader is found, and that one is told to let the nearest lead. etcd
 * refuses by itself while the nearest is not up to date, and then nothing has changed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/failover/authority_private.h"

enum { PLACE_EVERY_S = 60 };

struct etcd_place {
    struct authority *a;
    struct etcd_ask *ask; /* one at a time */
    struct mono last;     /* when it was begun */
    uint32_t at;          /* the member that is asked */
    char near[ETCD_ID], leader[ETCD_ID], member[ETCD_ID], leads[ETCD_ID];
    int looked; /* -1: not yet; else whether the nearest led when it was looked last */
    uint64_t placed, failed;
};

static void ask_status(struct etcd_place *p);

static void failed(struct etcd_place *p, const char *why)
{
    p->failed++;
    LOG(p->a->p.log, LOG_WARN, "coordination", "etcd's leader stays where it is",
        kv_s("nearest", etcd_link_url(p->a->link, 0)), kv_s("why", why));
}

/* Of the member at p->at alone. */
static void ask(struct etcd_place *p, enum etcd_call call, struct bytes body,
                enum etcd_fault (*read)(void *arg, int status, struct bytes body, char why[ETCD_WHY]),
                void (*done)(void *arg, const struct etcd_answer *r))
{
    struct etcd_link *l = p->a->link;

    p->ask = etcd_ask(l, &(struct etcd_ask_params){.call = call,
                                                   .body = body,
                                                   .deadline = mono_add(clock_mono(), etcd_link_timeout(l)),
                                                   .only = 1 + p->at,
                                                   .read = read,
                                                   .done = done,
                                                   .arg = p});
}

/* ---- the leader is told ---- */

static enum etcd_fault read_told(void *arg, int status, struct bytes body, char why[ETCD_WHY])
{
    (void)arg;
    return etcd_lead_read(status, body, why);
}

static void told(void *arg, const struct etcd_answer *r)
{
    struct etcd_place *p = arg;

    p->ask = NULL;
    if (r->fault != ETCD_FINE) {
        failed(p, r->why);
        return;
    }
    p->placed++;
    p->looked = 1;
    LOG(p->a->p.log, LOG_INFO, "coordination", "etcd's leader is the nearest member now",
        kv_s("nearest", etcd_link_url(p->a->link, 0)), kv_s("was", etcd_link_url(p->a->link, p->at)));
}

static void ask_lead(struct etcd_place *p)
{
    struct buf body;

    buf_init(&body, NULL, 128);
    if (etcd_lead_write(p->near, &body) == 0)
        ask(p, ETCD_LEAD, buf_bytes(&body), read_told, told);
    buf_free(&body);
}

/* ---- who is who ---- */

static enum etcd_fault read_status(void *arg, int status, struct bytes body, char why[ETCD_WHY])
{
    struct etcd_place *p = arg;

    return etcd_status_read(status, body, p->member, p->leads, why);
}

static void next_member(struct etcd_place *p)
{
    if (++p->at < etcd_link_members(p->a->link))
        ask_status(p);
    else
        failed(p, "no endpoint is the leader's");
}

static void have_status(void *arg, const struct etcd_answer *r)
{
    struct etcd_place *p = arg;

    p->ask = NULL;
    if (p->at > 0 && (r->fault != ETCD_FINE || strcmp(p->member, p->leader) != 0)) {
        next_member(p);
        return;
    }
    if (p->at > 0) {
        ask_lead(p);
        return;
    }
    p->looked = -1;
    if (r->fault != ETCD_FINE)
        return; /* the nearest is away: it had better not lead */
    memcpy(p->near, p->member, sizeof p->near);
    memcpy(p->leader, p->leads, sizeof p->leader);
    p->looked = strcmp(p->near, p->leader) == 0;
    if (!p->looked && strcmp(p->leader, "0") != 0)
        next_member(p);
}

static void ask_status(struct etcd_place *p)
{
    static const char nothing[] = "{}";

    ask(p, ETCD_STATUS, (struct bytes){(const uint8_t *)nothing, sizeof nothing - 1}, read_status,
        have_status);
}

/* ---- from outside ---- */

struct etcd_place *etcd_place_new(struct authority *a)
{
    struct etcd_place *p = etcd_link_members(a->link) > 1 ? calloc(1, sizeof *p) : NULL;

    if (p)
        *p = (struct etcd_place){.a = a, .looked = -1};
    return p;
}

void etcd_place_free(struct etcd_place **p)
{
    if (*p)
        etcd_ask_cancel(&(*p)->ask);
    free(*p);
    *p = NULL;
}

void authority_place(struct authority *a)
{
    struct etcd_place *p = a->place;
    struct mono now = clock_mono();

    if (!p || p->ask || (p->last.ns && mono_sub(now, p->last).ns < span_s(PLACE_EVERY_S).ns))
        return;
    p->last = now;
    p->at = 0;
    ask_status(p);
}

void etcd_place_metrics(const struct etcd_place *p, struct sink *out)
{
    static const struct metric_row near = {"securebase_coordination_leader_near",
                                           METRIC_GAUGE,
                                           1,
                                           1,
                                           "",
                                           "Whether etcd's leader was our nearest member when it was looked "
                                           "last, by whoever decides from outside of the "
                                           "active region."};
    static const struct metric_row placed = {
        "securebase_coordination_leader_placed_total",
        METRIC_COUNTER,
        1,
        1,
        "result",
        "Times that etcd's leader was asked to let our nearest member lead."};

    if (p->looked >= 0)
        sink_int(out, &near, NULL, p->looked);
    sink_uint(out, &placed, (struct text[]){text_of("placed")}, p->placed);
    sink_uint(out, &placed, (struct text[]){text_of("failed")}, p->failed);
}
