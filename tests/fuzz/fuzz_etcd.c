/* Answers of etcd, and lines of the journal, from any bytes: a value or "away", never more. The first byte chooses the
 * reader, the second the status; what the readers promise of their values is asserted. */
#include <assert.h>
#include <string.h>

#include "aggregator/failover/etcd.h"
#include "aggregator/failover/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void txn(int status, struct bytes body, struct arena *a)
{
    static const struct etcd_txn t = {
        .then = {{.kind = ETCD_GET_KEY, .key = "k"}, {.kind = ETCD_PUT, .key = "k"}},
        .n_then = 2,
        .other = {{.kind = ETCD_GET, .key = "k"}, {.kind = ETCD_DELETE, .key = "k"}},
        .n_other = 2};
    struct etcd_done d;
    char why[ETCD_WHY];

    if (etcd_txn_read(&t, status, body, a, &d, why) != ETCD_FINE) {
        assert(why[0] && memchr(why, 0, sizeof why));
        return;
    }
    assert(status == 200 && d.rev > 0);
    if (d.kv[0].there)
        assert(d.kv[0].create > 0 && d.kv[0].mod >= d.kv[0].create && d.kv[0].key.n == 1 &&
               d.kv[0].key.p[0] == 'k');
}

static void journal(struct bytes body)
{
    static struct fo_journal_difference d;
    const size_t half = body.n / 2;

    (void)fo_journal_verify(body, &d.a);
    assert(d.a.good + (d.a.bad != 0) == d.a.lines);
    (void)fo_journal_compare((struct bytes){body.p, half}, (struct bytes){body.p + half, body.n - half}, &d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 401, 404, 412, 500, 503};
    struct bytes body = {data + 2, size - 2};
    char why[ETCD_WHY], token[ETCD_TOKEN], member[ETCD_ID], leader[ETCD_ID];
    struct etcd_news news;
    struct etcd_kv *kv;
    uint64_t x, y;
    uint32_t n;
    struct arena a;
    int status;

    if (size < 2)
        return 0;
    status = statuses[data[1] % 6];
    arena_init(&a, NULL, 1 << 20);
    switch (data[0] % 8) {
    case 0: txn(status, body, &a); break;
    case 1: (void)etcd_grant_read(status, body, &a, &x, &y, why); break;
    case 2: (void)etcd_keep_read(7, status, body, &a, &x, &y, why); break;
    case 3: (void)etcd_login_read(status, body, &a, token, why); break;
    case 4: (void)etcd_list_read("k", status, body, &a, &kv, &n, why); break;
    case 5:
        (void)etcd_plain_read(status, body, &a, why);
        (void)etcd_lead_read(status, body, why);
        (void)etcd_status_read(status, body, member, leader, why);
        break;
    case 6: (void)etcd_watch_read(body, &a, &news, why); break;
    default: journal(body);
    }
    arena_free(&a);
    return 0;
}
