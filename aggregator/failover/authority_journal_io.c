/* Lines of the journal out of etcd, newest first, in pages. See authority.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/failover/authority_private.h"

enum { READ_MOST = 8 << 20 };

struct authority_journal_read {
    struct authority_journal_read *next;
    struct authority *a;
    struct authority_service *s;
    uint32_t left, asked;
    void (*line)(void *arg, struct bytes line, int code);
    void *arg;
    struct etcd_ask *ask;
    struct arena arena;
    struct etcd_kv *kv;
    uint32_t n;
    char before[AUTHORITY_KEY]; /* "" from the newest */
};

static void on_page(void *arg, const struct etcd_answer *r);

static void read_free(struct authority_journal_read *r)
{
    struct authority_journal_read **at = &r->a->reads;

    while (*at && *at != r)
        at = &(*at)->next;
    if (*at)
        *at = r->next;
    etcd_ask_cancel(&r->ask);
    arena_free(&r->arena);
    free(r);
}

void authority_etcd_journal_free(struct authority *a)
{
    while (a->reads)
        read_free(a->reads);
}

static void finish(struct authority_journal_read *r, int code)
{
    void (*line)(void *, struct bytes, int) = r->line;
    void *arg = r->arg;

    read_free(r);
    line(arg, (struct bytes){NULL, 0}, code);
}

static enum etcd_fault read_page(void *arg, int status, struct bytes body, char why[ETCD_WHY])
{
    struct authority_journal_read *r = arg;

    arena_free(&r->arena);
    arena_init(&r->arena, NULL, READ_MOST);
    return etcd_list_read(r->s->journal, status, body, &r->arena, &r->kv, &r->n, why);
}

static bool ask_page(struct authority_journal_read *r)
{
    struct etcd_ask_params p = {.call = ETCD_RANGE,
                                .deadline = mono_add(clock_mono(), etcd_link_timeout(r->a->link)),
                                .read = read_page,
                                .done = on_page,
                                .arg = r};
    struct buf body;

    r->asked = r->left < ETCD_LIST ? r->left : ETCD_LIST;
    buf_init(&body, NULL, 4 * AUTHORITY_KEY);
    if (etcd_list_write(r->s->journal, r->before[0] ? r->before : NULL, r->asked, &body) == 0) {
        p.body = buf_bytes(&body);
        r->ask = etcd_ask(r->a->link, &p);
    }
    buf_free(&body);
    return r->ask != NULL;
}

static void on_page(void *arg, const struct etcd_answer *answer)
{
    struct authority_journal_read *r = arg;
    uint32_t n = r->n;

    r->ask = NULL;
    if (answer->fault != ETCD_FINE) {
        finish(r, ERR_AGAIN);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        r->line(r->arg, r->kv[i].value, 0);
        if (i == n - 1 && r->kv[i].key.n < sizeof r->before) {
            memcpy(r->before, r->kv[i].key.p, r->kv[i].key.n);
            r->before[r->kv[i].key.n] = 0;
        }
    }
    r->left -= n < r->left ? n : r->left;
    if (n < r->asked || r->left == 0)
        finish(r, 0);
    else if (!ask_page(r))
        finish(r, ERR_NOMEM);
}

int authority_etcd_journal(struct authority *a, struct authority_service *s, uint32_t n,
                           void (*line)(void *arg, struct bytes line, int code), void *arg)
{
    struct authority_journal_read *r = calloc(1, sizeof *r);

    if (!r)
        return ERR_NOMEM;
    *r = (struct authority_journal_read){
        .next = a->reads, .a = a, .s = s, .left = n ? n : 1, .line = line, .arg = arg};
    arena_init(&r->arena, NULL, READ_MOST);
    a->reads = r;
    if (ask_page(r))
        return 0;
    read_free(r);
    return ERR_NOMEM;
}
