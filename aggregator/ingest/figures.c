/* Figures of ingest: see figures.h. One row a line; the
 * tables below pair rows with where their numbers stand. */
#include "aggregator/ingest/figures.h"

#include <stddef.h>

void figures_init(struct figures *f, struct mem *mem)
{
    *f = (struct figures){.accepted = 0};
    sketch_init_scale(&f->took, mem, SKETCH_SCALE_TIMER);
}

void figures_free(struct figures *f)
{
    sketch_free(&f->took);
}

void figures_answer(struct figures *f, enum request_path path, const struct wire_answer *a)
{
    enum wire_reason reason = a->status == 200 ? WIRE_OK : a->reason;

    f->requests[path][reason]++;
    if (path == PATH_BATCHES && reason == WIRE_OK) {
        f->accepted += !a->duplicate;
        f->duplicates += a->duplicate;
    }
}

#define COUNTER(n, l, h)                                                                                     \
    {                                                                                                        \
        "securebase_aggregator_" n, METRIC_COUNTER, 1, 1, l, h                                               \
    }
/* The parts of a summary: of no type that promises more, or less, than they are. */
#define SUMMARY(n, l, h)                                                                                     \
    {                                                                                                        \
        "securebase_aggregator_" n, METRIC_UNTYPED, 1, 1, l, h                                               \
    }
#define GAUGE(n, l, h)                                                                                       \
    {                                                                                                        \
        "securebase_aggregator_" n, METRIC_GAUGE, 1, 1, l, h                                                 \
    }

static const struct metric_row requests =
    COUNTER("requests_total", "path status", "Requests answered, by status of the answer.");
static const struct metric_row batches = COUNTER("batches_total", "result", "Batches answered with 200.");
static const struct metric_row refused[REQUEST_PATHS] = {
    COUNTER("refused_batches_total", "reason", "Batches not taken, by the reason told to the sender."),
    COUNTER("refused_definitions_total", "reason",
            "Requests with definitions not taken, by the reason told to the sender."),
    COUNTER("refused_peers_total", "reason", "Words of peers not taken, by the reason told to the sender."),
    COUNTER("refused_guards_total", "reason",
            "Questions of guards not taken, by the reason told to the sender."),
    COUNTER("refused_requests_total", "reason", "Requests to other paths, by the reason told to the sender."),
};
static const struct metric_row took = {"securebase_aggregator_batch_seconds",
                                       METRIC_SKETCH,
                                       1,
                                       1,
                                       "",
                                       "Time from the receipt of an accepted batch to its answer."};
static const struct metric_row certificate =
    GAUGE("certificate_expiry_timestamp_seconds", "", "When the certificate of the ingest listener expires.");
static const struct metric_row connections_refused = COUNTER(
    "ingest_connections_refused_total", "reason", "Connections closed or put off by the ingest listener.");
static const struct metric_row missing = COUNTER(
    "missing_batches_total", "reason",
    "Batches that will not come: closed by their agent, or lost because an agent had too many holes.");
static const struct metric_row memory =
    GAUGE("memory_bytes", "of",
          "Bytes in use by the table of series, the state of agents, and requests under way.");
static const struct metric_row memory_limit = GAUGE("memory_limit_bytes", "of", "Bytes that may be in use.");
static const struct metric_row memory_denied =
    COUNTER("memory_denied_total", "of", "Allocations refused for want of budget.");

struct count {
    struct metric_row row;
    size_t at;
};
#define F(field) offsetof(struct figures, field)
static const struct count counts[] = {
    {COUNTER("batch_values_total", "",
             "Values in accepted batches, refused ones included; a sketch and an event are one each."),
     F(values)},
    {COUNTER("received_bytes_total", "", "Bytes of accepted batches as they came, compressed."),
     F(frame_bytes)},
    {COUNTER("inflated_bytes_total", "", "Bytes of accepted batches, inflated."), F(payload_bytes)},
    {COUNTER("parked_batches_total", "", "Batches that waited for another one of their agent."), F(parked)},
    {COUNTER("replayed_batches_total", "", "Batches read back from the journal at the start."), F(replayed)},
    {COUNTER("unreadable_batches_total", "", "Journalled batches that could not be read back at the start."),
     F(unreadable)},
    {COUNTER("persists_total", "", "Times that roll-ups were written to the history."), F(persists)},
    {COUNTER("failed_persists_total", "", "Times that this failed."), F(failed_persists)},
    {COUNTER("dropped_holds_total", "",
             "Definitions let go because no kept batch of their holder uses them."),
     F(pruned_definitions)},
    {COUNTER(
         "expired_agents_total", "",
         "Agents whose watermarks were let go, because nothing as old as their last batch would be taken."),
     F(expired_agents)},
    {COUNTER("journal_renewals_total", "",
             "Times that a journal damaged while running was made anew from memory."),
     F(renewals)},
    {COUNTER("snapshots_total", "", "Snapshots of the series made for readers."), F(snapshots)},
};
#undef F

enum {
    G_AGENTS,
    G_EPOCHS,
    G_HOLES,
    G_DEFINITIONS,
    G_HOLDS,
    G_UNDER_WAY,
    G_POSITION,
    G_PERSISTED,
    G_CONNECTIONS,
    G_MISSING,
    C_LATE,
    C_ACCEPTED,
    C_BYTES_IN,
    C_BYTES_OUT,
    C_TIMEOUT,
    C_HANDSHAKE,
    STATES
};
static const struct metric_row states[STATES] = {
    [G_AGENTS] = GAUGE("admitted_agents", "", "Agents with a watermark."),
    [G_EPOCHS] = GAUGE("epochs", "", "Epochs of agents with a watermark."),
    [G_HOLES] = GAUGE("holes", "", "Ranges of missing batches that are remembered."),
    [G_DEFINITIONS] = GAUGE("definitions", "", "Definitions known."),
    [G_HOLDS] = GAUGE("definition_holds", "", "Definitions, counted once for each agent that holds them."),
    [G_UNDER_WAY] =
        GAUGE("requests_under_way", "", "Requests whose answer waits for the journal or for another batch."),
    [G_POSITION] = GAUGE("journal_position", "", "Position of the last batch applied."),
    [G_PERSISTED] = GAUGE("persisted_position", "", "Position contained in the roll-ups written down."),
    [G_CONNECTIONS] = GAUGE("ingest_connections", "", "Connections of the ingest listener."),
    [G_MISSING] = GAUGE("batches_missing", "",
                        "Batches of the agents' present epochs that have not come and still may."),
    [C_LATE] = COUNTER("late_batches_total", "", "Batches that filled a hole."),
    [C_ACCEPTED] =
        COUNTER("ingest_connections_accepted_total", "", "Connections accepted by the ingest listener."),
    [C_BYTES_IN] = COUNTER("ingest_read_bytes_total", "", "Bytes read by the ingest listener."),
    [C_BYTES_OUT] = COUNTER("ingest_written_bytes_total", "", "Bytes written by the ingest listener."),
    [C_TIMEOUT] = COUNTER("ingest_timeouts_total", "",
                          "Connections closed because a request or handshake took too long."),
    [C_HANDSHAKE] =
        COUNTER("ingest_failed_handshakes_total", "", "TLS handshakes of the ingest listener that failed."),
};

/* Several reasons share a status: each status is told once, at its first reason. */
static void tell_statuses(const uint64_t requests_by_reason[WIRE_REASONS], const char *path, struct sink *out)
{
    for (int r = 0; r < WIRE_REASONS; r++) {
        int status = wire_reason_status((enum wire_reason)r);
        const char digits[] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                               (char)('0' + status % 10)};
        const struct text labels[] = {text_of(path), {digits, sizeof digits}};
        uint64_t sum = 0;
        bool first = true;

        for (int k = 0; k < WIRE_REASONS; k++) {
            if (wire_reason_status((enum wire_reason)k) != status)
                continue;
            first = first && k >= r;
            sum += requests_by_reason[k];
        }
        if (first && sum)
            sink_uint(out, &requests, labels, sum);
    }
}

static void tell_requests(const struct figures *f, struct sink *out)
{
    static const char *const paths[] = {"/v1/batches", "/v1/definitions", "/v1/peer", "/v1/guard", "other"};
    const struct text accepted = text_of("accepted"), duplicate = text_of("duplicate");

    for (int p = 0; p < REQUEST_PATHS; p++) {
        tell_statuses(f->requests[p], paths[p], out);
        for (int r = WIRE_OK + 1; r < WIRE_REASONS; r++) {
            struct text label = text_of(wire_reason_name((enum wire_reason)r));

            if (f->requests[p][r] || p == PATH_BATCHES)
                sink_uint(out, &refused[p], &label, f->requests[p][r]);
        }
    }
    sink_uint(out, &batches, &accepted, f->accepted);
    sink_uint(out, &batches, &duplicate, f->duplicates);
}

static void tell_memory(const struct mem *m, const char *of, struct sink *out)
{
    struct text label = text_of(of);

    sink_uint(out, &memory, &label, m->used);
    if (m->cap)
        sink_uint(out, &memory_limit, &label, m->cap);
    sink_uint(out, &memory_denied, &label, m->denied);
}

static void tell_labelled(const struct metric_row *row, const char *value, uint64_t n, struct sink *out)
{
    struct text label = text_of(value);

    sink_uint(out, row, &label, n);
}

static void tell_states(const struct figures_now *now, struct sink *out)
{
    const uint64_t v[STATES] = {
        [G_AGENTS] = now->admission.agents,         [G_EPOCHS] = now->admission.epochs,
        [G_HOLES] = now->admission.holes,           [G_DEFINITIONS] = now->definitions.definitions,
        [G_HOLDS] = now->definitions.holds,         [G_UNDER_WAY] = now->under_way,
        [G_POSITION] = (uint64_t)now->position,     [G_PERSISTED] = (uint64_t)now->persisted,
        [G_CONNECTIONS] = now->http.connections,    [C_LATE] = now->admission.late,
        [C_ACCEPTED] = now->http.accepted,          [C_BYTES_IN] = now->http.bytes_in,
        [C_BYTES_OUT] = now->http.bytes_out,        [C_TIMEOUT] = now->http.timed_out,
        [C_HANDSHAKE] = now->http.handshake_failed,
    };

    for (int i = 0; i < STATES; i++)
        sink_uint(out, &states[i], NULL, v[i]);
    tell_labelled(&connections_refused, "budget", now->http.refused_budget, out);
    tell_labelled(&connections_refused, "evicted", now->http.evicted, out);
    tell_labelled(&connections_refused, "address", now->http.refused_address, out);
    tell_labelled(&connections_refused, "malformed", now->http.malformed, out);
    tell_labelled(&connections_refused, "distrusted", now->http.distrusted, out);
    tell_labelled(&missing, "closed", now->admission.closed, out);
    tell_labelled(&missing, "lost", now->admission.lost, out);
    if (now->certificate.ms)
        sink_real(out, &certificate, NULL, (double)now->certificate.ms / 1000);
}

void figures_metrics(const struct figures *f, const struct figures_now *now, struct sink *out)
{
    tell_requests(f, out);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        sink_uint(out, &counts[i].row, NULL, *(const uint64_t *)((const char *)f + counts[i].at));
    sink_sketch(out, &took, NULL, &f->took);
    tell_states(now, out);
    tell_memory(now->series_mem, "series", out);
    tell_memory(now->state_mem, "agents", out);
    tell_memory(now->work_mem, "requests", out);
}
