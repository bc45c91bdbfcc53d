/* The machine of failover as pages: Markdown with a Mermaid diagram, or Graphviz. Everything comes from the table and the
 * names that the daemon itself decides and speaks by. */
#ifndef SB_TESTS_FSM_H
#define SB_TESTS_FSM_H

#include <string.h>

#include "aggregator/failover/failover.h"

/* Rows from here on leave every state alike; in pictures they would be all that one sees. */
enum { FSM_EVERYWHERE = 700 };

static inline bool fsm_drawn(const struct fo_row *r)
{
    return r->number < FSM_EVERYWHERE && r->from != r->to;
}

/* One arrow for each pair of states, with the names of all its rows. */
static inline void fsm_arrows(struct buf *out, bool dot)
{
    for (uint8_t from = 0; from < FO_STATES; from++)
        for (uint8_t to = 0; to < FO_STATES; to++) {
            unsigned n = 0;

            for (uint32_t i = 0; i < fo_rows_count; i++) {
                const struct fo_row *r = &fo_rows[i];

                if (r->from != from || r->to != to || !fsm_drawn(r))
                    continue;
                if (n++ == 0)
                    buf_fmt(out, dot ? "    %s -> %s [label=\"" : "    %s --> %s: ", fo_state_name(from),
                            fo_state_name(to));
                buf_fmt(out, "%s%s", n > 1 ? ", " : "", r->name);
            }
            if (n > 0)
                buf_str(out, dot ? "\"];\n" : "\n");
        }
}

static inline void fsm_mermaid(struct buf *out)
{
    buf_str(out, "stateDiagram-v2\n    [*] --> BOOT\n");
    fsm_arrows(out, false);
}

static inline void fsm_dot(struct buf *out)
{
    buf_str(out, "digraph failover {\n    node [shape=box, fontname=monospace];\n    edge "
                 "[fontname=monospace, fontsize=9];\n");
    fsm_arrows(out, true);
    buf_str(out, "}\n");
}

static inline void fsm_everywhere(struct buf *out)
{
    for (uint32_t i = 0; i < fo_rows_count; i++) {
        const struct fo_row *r = &fo_rows[i];
        unsigned group = r->number - r->from, n = 0;
        bool first = r->number >= FSM_EVERYWHERE;

        for (uint32_t j = 0; first && j < i; j++)
            first = fo_rows[j].number - fo_rows[j].from != (int)group || fo_rows[j].number < FSM_EVERYWHERE;
        if (!first)
            continue;
        buf_fmt(out, "| %u + state | ", group);
        for (uint32_t j = i; j < fo_rows_count; j++)
            if (fo_rows[j].number >= FSM_EVERYWHERE && fo_rows[j].number - fo_rows[j].from == (int)group)
                buf_fmt(out, "%s%s %u", n++ ? ", " : "", fo_state_name(fo_rows[j].from), fo_rows[j].number);
        buf_fmt(out, " | %s | `%s` | %s |\n", fo_state_name(r->to), r->name, r->sentence);
    }
}

static inline void fsm_markdown(struct buf *out)
{
    buf_str(
        out,
        "# States of a failover\n\n"
        "Written by `make failover-states` from the table that decides (`aggregator/failover/table.c`). Each "
        "event, log line and journal line of a decision carries the number of its row.\n\n"
        "## States\n\n| state | meaning |\n|---|---|\n");
    for (uint8_t s = 0; s < FO_STATES; s++)
        buf_fmt(out, "| %s | %s |\n", fo_state_name(s), fo_state_text(s));
    buf_str(out, "\n## The way\n\nRows that leave every state alike (lease lost, authority away, by hand) "
                 "are below, not "
                 "in the picture.\n\n```mermaid\n");
    fsm_mermaid(out);
    buf_str(out, "```\n\n## Rows\n\nOf the rows of one state the first in this order that holds fires.\n\n"
                 "| row | from | to | name | when |\n|---|---|---|---|---|\n");
    for (uint32_t i = 0; i < fo_rows_count; i++)
        if (fo_rows[i].number < FSM_EVERYWHERE)
            buf_fmt(out, "| %u | %s | %s | `%s` | %s |\n", fo_rows[i].number, fo_state_name(fo_rows[i].from),
                    fo_state_name(fo_rows[i].to), fo_rows[i].name, fo_rows[i].sentence);
    buf_str(out, "\nFrom every state while the lease is held; these come first:\n\n"
                 "| row | from | to | name | when |\n|---|---|---|---|---|\n");
    fsm_everywhere(out);
    buf_str(out, "\n## Reasons\n\nWhat forbids a move, stops one or refuses a command, and what helps.\n\n"
                 "| reason | meaning | command |\n|---|---|---|\n");
    for (unsigned r = 1; r < FO_REASONS; r++)
        buf_fmt(out, "| `%s` | %s | %s%s%s |\n", fo_reason_name((enum fo_reason)r),
                fo_reason_text((enum fo_reason)r), fo_reason_command((enum fo_reason)r)[0] ? "`" : "",
                fo_reason_command((enum fo_reason)r), fo_reason_command((enum fo_reason)r)[0] ? "`" : "");
}

#endif
