/* What a guard keeps, as text that a person can read: see guard.h. Each line has a slot of its own in one file that is made
 * whole at the start, so that writing needs no room on the disk, no rename and no right to the folder; the two slots for what
 * must be durable are written in turn, so that one of them is whole whatever happens meanwhile. */
#include "agent/guard/guard.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUM = 16 };

static void sum_of(const char *line, size_t n, char out[SUM + 1])
{
    uint8_t hash[32];

    (void)SHA256((const uint8_t *)line, n, hash);
    for (int i = 0; i < SUM / 2; i++)
        (void)snprintf(out + 2 * (size_t)i, 3, "%02x", hash[i]);
}

/* line with its checksum, blanks, and a newline at the end of the slot. */
static void seal(const char *line, uint8_t out[GUARD_SLOT])
{
    char sum[SUM + 1];
    int n;

    sum_of(line, strlen(line), sum);
    memset(out, ' ', GUARD_SLOT);
    n = snprintf((char *)out, GUARD_SLOT, "%s sum=%s", line, sum);
    out[n] = ' ';
    out[GUARD_SLOT - 1] = '\n';
}

/* The line of a slot without its checksum, terminated; false when it is not whole. */
static bool open_slot(const uint8_t *slots, size_t n, size_t i, char line[GUARD_SLOT])
{
    char sum[SUM + 1], *at;

    if (n < (i + 1) * GUARD_SLOT)
        return false;
    memcpy(line, slots + i * GUARD_SLOT, GUARD_SLOT);
    line[GUARD_SLOT - 1] = 0;
    at = strlen(line) == GUARD_SLOT - 1 ? strstr(line, " sum=") : NULL;
    if (!at || strlen(at) < 5 + SUM)
        return false;
    *at = 0;
    sum_of(line, strlen(line), sum);
    return strncmp(at + 5, sum, SUM) == 0;
}

void guard_kept_write(const struct guard_kept *k, uint64_t turn, uint8_t out[GUARD_SLOT])
{
    char line[GUARD_SLOT / 2];

    (void)snprintf(line, sizeof line, "guard 1 turn=%llu state=%u fenced_epoch=%u seen_epoch=%u",
                   (unsigned long long)turn, k->state, k->fenced_epoch, k->seen_epoch);
    seal(line, out);
}

void guard_lease_write(const struct guard_lease_kept *l, uint8_t out[GUARD_SLOT])
{
    char line[GUARD_SLOT / 2];

    (void)snprintf(line, sizeof line, "lease 1 boot=%.36s deadline=%lld serving=%d", l->boot,
                   (long long)l->deadline, l->serving);
    seal(line, out);
}

bool guard_kept_read(const uint8_t *slots, size_t n, struct guard_kept *out, uint64_t *turn)
{
    bool found = false;

    *turn = 0;
    for (size_t i = 0; i < 2; i++) {
        unsigned long long t;
        char line[GUARD_SLOT];
        unsigned state, fenced_epoch, seen;

        if (!open_slot(slots, n, i, line) ||
            sscanf(line, "guard 1 turn=%llu state=%u fenced_epoch=%u seen_epoch=%u", &t, &state,
                   &fenced_epoch, &seen) != 4 ||
            state > GUARD_KEPT_RELEASING)
            continue;
        if (!found || t > *turn) {
            *out = (struct guard_kept){(uint8_t)state, fenced_epoch, seen};
            *turn = t;
        }
        found = true;
    }
    return found;
}

bool guard_lease_read(const uint8_t *slots, size_t n, struct guard_lease_kept *out)
{
    char line[GUARD_SLOT];
    long long deadline;
    int serving;

    if (!open_slot(slots, n, 2, line))
        return false;
    *out = (struct guard_lease_kept){.deadline = 0};
    if (sscanf(line, "lease 1 boot=%36s deadline=%lld serving=%d", out->boot, &deadline, &serving) != 3)
        return false;
    out->deadline = deadline;
    out->serving = serving != 0;
    return true;
}
