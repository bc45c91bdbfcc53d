/* The table as a whole: what can be said of it without running it. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/tools/fsm.h"

static void numbers_are_unique(void **state)
{
    (void)state;
    assert_true(fo_rows_count > 100);
    for (uint32_t i = 0; i < fo_rows_count; i++) {
        assert_true(fo_rows[i].number != 0);
        assert_true(fo_rows[i].from < FO_STATES && fo_rows[i].to < FO_STATES);
        assert_true(strlen(fo_rows[i].name) > 1);
        assert_int_equal(fo_rows[i].sentence[strlen(fo_rows[i].sentence) - 1], '.');
        assert_ptr_equal(fo_row_find(fo_rows[i].number), &fo_rows[i]);
    }
    assert_null(fo_row_find(0));
    assert_null(fo_row_find(9999));
}

static void each_state_is_reached(void **state)
{
    bool seen[FO_STATES] = {[FO_S_BOOT] = true}, more = true;

    (void)state;
    while (more) {
        more = false;
        for (uint32_t i = 0; i < fo_rows_count; i++)
            if (seen[fo_rows[i].from] && !seen[fo_rows[i].to])
                more = seen[fo_rows[i].to] = true;
    }
    for (unsigned s = 0; s < FO_STATES; s++)
        if (!seen[s])
            fail_msg("%s is never reached", fo_state_name((uint8_t)s));
}

/* From each state back to where the service is at rest; while leading also out when the lease or the authority goes. */
static void each_state_has_a_way_out(void **state)
{
    bool rest[FO_STATES] = {[FO_S_STEADY] = true}, more = true;

    (void)state;
    while (more) {
        more = false;
        for (uint32_t i = 0; i < fo_rows_count; i++)
            if (rest[fo_rows[i].to] && !rest[fo_rows[i].from])
                more = rest[fo_rows[i].from] = true;
    }
    for (unsigned s = 0; s < FO_STATES; s++) {
        bool lost = s == FO_S_BOOT || s == FO_S_FOLLOW, away = lost || s == FO_S_FROZEN;

        for (uint32_t i = 0; i < fo_rows_count; i++) {
            lost |= fo_rows[i].from == s && fo_rows[i].to == FO_S_FOLLOW;
            away |= fo_rows[i].from == s && fo_rows[i].to == FO_S_FROZEN;
        }
        if (!rest[s] || !lost || !away)
            fail_msg("%s has no way out", fo_state_name((uint8_t)s));
    }
}

/* After PROMOTE no row leads back: neither to a step before it nor to UNDO. */
static void only_forward_after_no_return(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < fo_rows_count; i++) {
        const struct fo_row *r = &fo_rows[i];

        if (r->from >= FO_S_PROMOTE && r->from <= FO_S_TIDY)
            assert_true(r->to > r->from || r->to == FO_S_FOLLOW);
        if (r->to == FO_S_PROMOTE)
            assert_true(r->from == FO_S_LASTLOOK || r->from == FO_S_RESUME);
        if (r->to == FO_S_LASTLOOK)
            assert_true(r->from == FO_S_FENCE || r->from == FO_S_CATCHUP);
        if (r->to == FO_S_PREPARE)
            assert_int_equal(r->from, FO_S_GATE);
        if (r->to == FO_S_FENCE)
            assert_true(r->from == FO_S_PREPARE || r->from == FO_S_RESUME);
    }
}

static void names_and_sentences(void **state)
{
    (void)state;
    for (uint8_t s = 0; s < FO_STATES; s++) {
        assert_true(strcmp(fo_state_name(s), "?") != 0 && fo_state_text(s)[0] != '\0');
        for (uint8_t o = 0; o < s; o++)
            assert_string_not_equal(fo_state_name(s), fo_state_name(o));
    }
    for (unsigned r = 0; r < FO_REASONS; r++) {
        assert_true(strcmp(fo_reason_name((enum fo_reason)r), "?") != 0);
        assert_true(fo_reason_text((enum fo_reason)r)[0] != '\0');
        /* who is paged has something to do */
        if (r != FO_R_NONE && r != FO_R_BUSY)
            assert_true(strncmp(fo_reason_command((enum fo_reason)r), "sbctl ", 6) == 0);
        for (unsigned o = 0; o < r; o++)
            assert_string_not_equal(fo_reason_name((enum fo_reason)r), fo_reason_name((enum fo_reason)o));
    }
    for (uint8_t c = 0; c < FO_COMMANDS; c++)
        assert_string_not_equal(fo_command_name(c), "?");
    for (uint8_t p = 0; p <= FO_UNDONE; p++)
        assert_string_not_equal(fo_phase_name(p), "?");
    assert_string_equal(fo_state_name(FO_STATES), "?");
    assert_string_equal(fo_reason_name(FO_REASONS), "?");
    assert_string_equal(fo_reason_command(FO_REASONS), "");
    assert_string_equal(fo_command_name(FO_COMMANDS), "?");
    assert_string_equal(fo_verdict_name(FO_DOWN), "down");
    assert_string_equal(fo_verdict_name(9), "?");
    assert_string_equal(fo_class_name(FO_HEARTBEAT), "heartbeat");
    assert_string_equal(fo_class_name(3), "?");
    assert_string_equal(fo_kind_name(FO_DRILL), "drill");
    assert_string_equal(fo_automation_name(FO_AUTO), "auto");
    assert_string_equal(fo_phase_name(FO_UNDONE), "undone");
}

/* The page in docs/ is what the table says (make failover-states). */
static void the_page_is_current(void **state)
{
    char path[4096];
    struct buf b, page;
    FILE *f;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/docs/failover-states.md", getenv("TEST_SOURCE"));
    f = fopen(path, "r");
    assert_non_null(f);
    buf_init(&b, NULL, 1 << 20);
    buf_init(&page, NULL, 1 << 20);
    for (int ch; (ch = fgetc(f)) != EOF;)
        buf_u8(&page, (uint8_t)ch);
    assert_int_equal(fclose(f), 0);
    fsm_markdown(&b);
    if (b.len != page.len || memcmp(b.data, page.data, b.len) != 0)
        fail_msg("docs/failover-states.md is not what the table says: make failover-states");
    buf_free(&b);
    buf_free(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_unique),       cmocka_unit_test(each_state_is_reached),
        cmocka_unit_test(each_state_has_a_way_out), cmocka_unit_test(only_forward_after_no_return),
        cmocka_unit_test(names_and_sentences),      cmocka_unit_test(the_page_is_current),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
