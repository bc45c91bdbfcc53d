/* --check-config, and what a start and a reload look at first: mistakes across options. Reads time zones. */
#include "aggregator/expose/serve.h"
#include "aggregator/failover/authority.h"
#include "aggregator/failover/drill.h"
#include "aggregator/failover/settings.h"
#include "aggregator/ingest/ingest.h"
#include "aggregator/judge.h"
#include "aggregator/options.h"
#include "aggregator/peers.h"
#include "aggregator/series/series.h"
#include "aggregator/zones.h"

/* The sections of percentiles are read by making a table of them. */
static int percentiles_check(const struct config *c, struct buf *report, struct err *e)
{
    struct mem mem = {0};
    struct series_set *s = series_new(&(struct series_params){.config = c, .mem = &mem}, report, e);
    int rc = s ? 0 : e->code;

    series_free(&s);
    return rc;
}

static int rooms_check(const struct config *c, struct wall now, struct buf *report, struct err *e)
{
    struct zones *z = zones_new();
    int rc = z ? judge_check(c, zones_find, z, now, report, e) : err_set(e, ERR_NOMEM, "no memory");
    int drills = z ? drill_check(c, zones_find, z, report, e) : 0;

    zones_free(&z);
    return rc ? rc : drills;
}

int aggregator_check(const struct config *c, const struct cli *cli, struct buf *report, struct err *e)
{
    struct wall now = cli->verb == CLI_CHECK ? clock_wall() : (struct wall){0};
    int serve = serve_check(c, report, e), ingest = ingest_check(c, report, e);
    int percentiles = percentiles_check(c, report, e), rooms = rooms_check(c, now, report, e);
    int peers = peers_check(c, report, e), authority = authority_check(c, report, e);
    int action = action_check(c, report, e), failover = action ? 0 : failover_check(c, report, e);

    return serve         ? serve
           : ingest      ? ingest
           : percentiles ? percentiles
           : rooms       ? rooms
           : peers       ? peers
           : authority   ? authority
           : action      ? action
                         : failover;
}
