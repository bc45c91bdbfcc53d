/* What a run says of itself: lines for people, marks of what was reached, and a digest over everything. */
#include "tests/sim/sim.h"

#include <stdarg.h>

void trace(struct world *w, const struct node *n, const char *fmt, ...)
{
    va_list ap;

    if (w->trace_to == NULL)
        return;
    fprintf(w->trace_to, "%9.3f ", (double)w->now / 1000.0);
    if (n != NULL)
        fprintf(w->trace_to, "node %u (%s) ", n->index, n->alive ? fo_state_name(n->core.state) : "-");
    va_start(ap, fmt);
    vfprintf(w->trace_to, fmt, ap);
    va_end(ap);
    fputc('\n', w->trace_to);
}

/* FNV-1a's mixing over words: only equality of two runs matters. */
uint64_t mix(uint64_t digest, const void *p, size_t n)
{
    const unsigned char *b = p;

    for (; n >= 8; n -= 8, b += 8) {
        uint64_t x;

        memcpy(&x, b, 8);
        digest = (digest ^ x) * UINT64_C(0x100000001b3);
        digest ^= digest >> 29;
    }
    for (; n > 0; n--, b++)
        digest = (digest ^ *b) * UINT64_C(0x100000001b3);
    return digest;
}

void marks_effects(struct world *w, const struct node *n, const struct fo_effects *out)
{
    struct marks *m = w->m;

    (void)n;
    for (uint32_t i = 0; i < out->n; i++) {
        const struct fo_effect *e = &out->v[i];

        if (e->kind == FO_DO_TELL && e->row < sizeof(m->row) / sizeof(m->row[0]))
            m->row[e->row]++;
        if (e->kind == FO_DO_TELL || e->kind == FO_DO_PAGE || e->kind == FO_DO_ANSWER)
            for (fo_reasons r = e->reasons; r != 0; r &= r - 1)
                m->reason[__builtin_ctzll(r)]++;
        if (e->kind == FO_DO_ANSWER) {
            m->answers++;
            if (e->code < FO_REASONS)
                m->reason[e->code]++;
        }
    }
}

/* ---- what has to be reached, and what cannot be in this model ---- */

/* Kinds are told by how a name ends or begins; `least` is the number of seeds from which on it has to be reached all the
 * same, 0: never. */
static const struct {
    const char *name, *why;
    uint64_t least;
} excused[] = {
    {"reason none", "it is no reason", 0},
    {"BOOT -> BOOT, start)", "the beginning, which no event leads to", 0},
    {"RESUME, otherwise)",
     "a commit that lands behind the reading that has missed it, once the state is another", 1000000},
    {"break_glass)", "the right order in the right state, by chance", 200000},
    {"row 223 ", "gray, within the minute of hold-down after a move, and over within it", 1000000},
    {"row 906 ", "the gate is left in the step that entered it, but while a reading is under way", 1000000},
    {"LASTLOOK -> STUCK, token_higher)", "no action is under way there but one whose answer is late",
     1000000},
    {"VALIDATE -> STUCK, token_higher)",
     "validation changes nothing: only an answer of the switch that is late", 1000000},
    {"UNDO, cap)", "a drill that lasts for minutes in that very state", 200000},
    {"reason one_region", "an order for the region that is active is invalid before it comes to the gate", 0},
    {"reason store", "a gate that waits for a reading for three seconds", 200000},
};

static bool excuse(const char *name, uint64_t seeds)
{
    for (size_t i = 0; i < sizeof(excused) / sizeof(excused[0]); i++) {
        size_t n = strlen(excused[i].name), all = strlen(name);
        bool fits = excused[i].name[n - 1] == ')' ? all >= n && strcmp(name + all - n, excused[i].name) == 0
                                                  : strncmp(name, excused[i].name, n) == 0;

        if (fits)
            return excused[i].least == 0 || seeds < excused[i].least;
    }
    return false;
}

enum { ROWS_LEAST = 200000 }; /* with fewer seeds a row that is missed is told, and no more */

static int missing(FILE *to, const char *kind, const char *name, uint64_t seeds)
{
    char both[128];

    snprintf(both, sizeof(both), "%s %s", kind, name);
    if (excuse(both, seeds))
        return 0;
    fprintf(to, "never reached: %s\n", both);
    return strcmp(kind, "row") != 0 || seeds >= ROWS_LEAST;
}

int marks_report(const struct marks *m, FILE *to)
{
    int n = 0;

    for (uint8_t i = 0; i < FO_STATES; i++)
        if (m->state[i] == 0 && i != FO_S_BOOT)
            n += missing(to, "state", fo_state_name(i), m->seeds);
    for (uint32_t i = 0; i < fo_rows_count; i++)
        if (m->row[fo_rows[i].number] == 0) {
            char name[96];

            snprintf(name, sizeof(name), "%u (%s -> %s, %s)", fo_rows[i].number,
                     fo_state_name(fo_rows[i].from), fo_state_name(fo_rows[i].to), fo_rows[i].name);
            n += missing(to, "row", name, m->seeds);
        }
    for (uint8_t i = 0; i < FO_REASONS; i++)
        if (m->reason[i] == 0)
            n += missing(to, "reason", fo_reason_name((enum fo_reason)i), m->seeds);
    for (uint8_t i = 0; i < FO_COMMANDS; i++)
        if (m->command[i] == 0)
            n += missing(to, "command", fo_command_name(i), m->seeds);
    for (uint8_t i = 0; i < FAULT_KINDS; i++)
        if (m->fault[i] == 0)
            n += missing(to, "fault", fault_name(i), m->seeds);
    return n;
}
