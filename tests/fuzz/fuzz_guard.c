/* Whatever a guard reads on its host: its state file, HAProxy's and PostgreSQL's answers, postmaster.pid, pg_hba.conf. The
 * first byte picks which. */
#include <stdlib.h>
#include <string.h>

#include "agent/guard/fence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void state_file(struct bytes in)
{
    struct guard_lease_kept lease;
    struct guard_kept kept;
    uint64_t turn;

    if (guard_kept_read(in.p, in.n, &kept, &turn) && kept.state > GUARD_KEPT_RELEASING)
        abort();
    if (guard_lease_read(in.p, in.n, &lease) && strnlen(lease.boot, sizeof lease.boot) == sizeof lease.boot)
        abort();
}

static void haproxy(struct bytes in)
{
    struct haproxy_seen seen;
    char name[128];
    size_t at = 0;

    if (haproxy_servers(in, "app", NULL, &seen) == 0 && seen.in_maintenance > seen.servers)
        abort();
    while (haproxy_next(in, &at, name))
        if (at > in.n + 1)
            abort();
}

static void postgresql(struct bytes in)
{
    static const char *const keep[] = {"securebase"};
    struct postmaster p;
    struct buf b;

    (void)pg_refused(in);
    (void)postmaster_read(in, &p);
    buf_init(&b, NULL, 1 << 20);
    if (hba_cut(in, "postgres", keep, 1, &b) == 0 && !hba_is_cut(buf_bytes(&b)))
        abort();
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(struct bytes in) = {state_file, haproxy, postgresql};

    if (size)
        readers[data[0] % 3]((struct bytes){data + 1, size - 1});
    return 0;
}
