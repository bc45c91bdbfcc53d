/* TZif (RFC 8536 and 9636, versions 1 to 4): a table of transitions, and a rule for the time behind its end.
 *
 * What is kept is one block: changes of OFFSET only. A file's transitions that change a name or the summer-time
 * flag alone mean nothing here. Leap seconds ("right/" files) are refused: wall time has none. */
#include "common/base/zone.h"

#include <string.h>

#include "common/base/zone_private.h"

enum { HEADER = 44, TIMES_MOST = 20000, TYPES_MOST = 256, CHARS_MOST = 4096, NAME_MOST = 64 };
enum { EAST_LEAST = -89999, EAST_MOST = 93599 }; /* RFC 8536 section 3.2 */

struct change {
    int64_t at;
    int32_t offset; /* from then on */
};

struct zone {
    char name[NAME_MOST + 1];
    struct tz_rule rule;
    int32_t first; /* offset before the first change */
    int64_t ruled; /* the rule holds from here on */
    size_t size;   /* bytes of all this */
    size_t n;
    struct change changes[]; /* ascending */
};

struct counts {
    uint32_t utc, standard, leap, times, types, chars;
};

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const uint8_t *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

static int header(struct bytes b, size_t at, struct counts *c, struct err *e)
{
    const uint8_t *p = b.p + at;

    if (b.n < at + HEADER || memcmp(p, "TZif", 4) != 0)
        return err_set(e, ERR_MALFORMED, "no TZif header at byte %zu", at);
    *c = (struct counts){be32(p + 20), be32(p + 24), be32(p + 28), be32(p + 32), be32(p + 36), be32(p + 40)};
    if (c->times > TIMES_MOST || c->types < 1 || c->types > TYPES_MOST || c->chars > CHARS_MOST ||
        c->utc > c->types || c->standard > c->types || c->leap > TIMES_MOST)
        return err_set(e, ERR_MALFORMED, "counts out of bounds: %u times, %u types, %u characters", c->times,
                       c->types, c->chars);
    return 0;
}

static size_t block_size(const struct counts *c, size_t width)
{
    return c->times * (width + 1) + c->types * 6 + c->chars + c->leap * (width + 4) + c->standard + c->utc;
}

static int types(const uint8_t *p, const struct counts *c, int32_t offsets[TYPES_MOST], struct err *e)
{
    for (uint32_t i = 0; i < c->types; i++) {
        offsets[i] = (int32_t)be32(p + i * 6);
        if (offsets[i] < EAST_LEAST || offsets[i] > EAST_MOST)
            return err_set(e, ERR_MALFORMED, "type %u is %d s from UTC", i, offsets[i]);
    }
    return 0;
}

/* The data block at p, whose size was checked. */
static int changes(struct zone *z, const uint8_t *p, const struct counts *c, size_t width, struct err *e)
{
    const uint8_t *index = p + c->times * width;
    int32_t offsets[TYPES_MOST], now;
    int64_t before = INT64_MIN;

    if (c->leap)
        return err_set(e, ERR_UNSUPPORTED, "counts leap seconds, which wall time does not have");
    if (types(index + c->times, c, offsets, e) < 0)
        return e->code;
    now = z->first = offsets[0];
    for (uint32_t i = 0; i < c->times; i++) {
        int64_t t = width == 8 ? be64(p + i * 8) : (int32_t)be32(p + i * 4);

        if (i > 0 && t <= before)
            return err_set(e, ERR_MALFORMED, "transition %u is not after the one before", i);
        if (index[i] >= c->types)
            return err_set(e, ERR_MALFORMED, "transition %u has type %u of %u", i, index[i], c->types);
        before = t;
        z->ruled = t < ZONE_FIRST ? ZONE_FIRST : t > ZONE_LAST ? ZONE_LAST + 1 : t;
        if (t > ZONE_LAST)
            continue;
        if (offsets[index[i]] == now)
            continue;
        now = offsets[index[i]];
        if (t <= ZONE_FIRST)
            z->first = now;
        else
            z->changes[z->n++] = (struct change){t, now};
    }
    return 0;
}

/* "\nRULE\n" behind the block of a version 2 or later file. */
static int footer(struct zone *z, struct bytes b, size_t at, struct err *e)
{
    const uint8_t *end;

    if (at >= b.n || b.p[at] != '\n')
        return err_set(e, ERR_MALFORMED, "no footer at byte %zu", at);
    end = memchr(b.p + at + 1, '\n', b.n - at - 1);
    if (!end)
        return err_set(e, ERR_MALFORMED, "the footer has no end");
    if (tz_rule_parse((const char *)b.p + at + 1, (size_t)(end - b.p) - at - 1, &z->rule) < 0)
        return err_set(e, ERR_MALFORMED, "the footer is not a POSIX TZ rule");
    return 0;
}

static size_t zone_size(size_t times)
{
    return sizeof(struct zone) + times * sizeof(struct change);
}

static struct zone *zone_make(const char *name, size_t n)
{
    struct zone *z = mem_alloc(NULL, zone_size(n));
    size_t length = strlen(name);

    if (!z)
        return NULL;
    memcpy(z->name, name, length < NAME_MOST ? length : NAME_MOST);
    z->size = zone_size(n);
    z->ruled = INT64_MIN;
    return z;
}

struct zone *zone_parse(const char *name, struct bytes b, struct err *e)
{
    struct counts c;
    struct zone *z = NULL;
    size_t at = 0, width = 4;
    bool footed;
    struct err own;

    e = e ? e : &own;
    e->code = 0;
    if (header(b, 0, &c, e) < 0)
        goto out;
    footed = b.p[4] >= '2';
    if (footed) { /* a second block follows, with eight bytes for each time */
        at = HEADER + block_size(&c, 4);
        width = 8;
        if (header(b, at, &c, e) < 0)
            goto out;
    }
    at += HEADER;
    if (b.n - at < block_size(&c, width)) {
        err_set(e, ERR_MALFORMED, "the data ends early: %zu bytes", b.n);
        goto out;
    }
    z = zone_make(name, c.times);
    if (!z) {
        err_set(e, ERR_NOMEM, "no memory for a time zone");
        goto out;
    }
    if (changes(z, b.p + at, &c, width, e) == 0 && footed)
        (void)footer(z, b, at + block_size(&c, width), e);
out:
    if (e->code) {
        zone_free(&z);
        err_prefix(e, "time zone \"%.64s\"", name);
    }
    return z;
}

void zone_free(struct zone **z)
{
    if (!*z)
        return;
    mem_free(NULL, *z, (*z)->size);
    *z = NULL;
}

const char *zone_name(const struct zone *z)
{
    return z->name;
}

/* How many changes lie at or before t. */
static size_t passed(const struct zone *z, int64_t t)
{
    size_t low = 0, high = z->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (z->changes[mid].at <= t)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int32_t zone_offset(const struct zone *z, int64_t t)
{
    size_t i;

    if (z->rule.present && t >= z->ruled)
        return tz_rule_offset(&z->rule, t);
    i = passed(z, t);
    return i ? z->changes[i - 1].offset : z->first;
}

bool zone_change_after(const struct zone *z, int64_t t, int64_t *change)
{
    size_t i = passed(z, t);

    if (i < z->n) {
        *change = z->changes[i].at;
        return true;
    }
    if (!z->rule.present || z->ruled > ZONE_LAST)
        return false;
    /* where the rule takes over there may be a change that the table does not have */
    if (t < z->ruled) {
        if (zone_offset(z, z->ruled) != zone_offset(z, t)) {
            *change = z->ruled;
            return true;
        }
        t = z->ruled;
    }
    return tz_rule_next(&z->rule, t, change) && *change <= ZONE_LAST;
}
