/* Messages of dns-update without a network: addresses of servers, what counts as the same, the update that is built. */
#include "tests/unit/action_kit.h"

#include "aggregator/actions/dns_state_io.h"

static void test_servers(void **state)
{
    static const struct {
        const char *text;
        int family, port;
    } rows[] = {{"192.0.2.53", AF_INET, 53},    {"192.0.2.53:5353", AF_INET, 5353},
                {"2001:db8::53", AF_INET6, 53}, {"[2001:db8::53]:5353", AF_INET6, 5353},
                {"[::1]", AF_INET6, 53},        {"ns1.example.test", 0, 0},
                {"192.0.2.300", 0, 0},          {"", 0, 0},
                {"192.0.2.53:x", 0, 0},         {"192.0.2.53:70000", 0, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dns_server s;
        struct err e = {0};
        int rc = dns_server_parse(rows[i].text, &s, &e), port;
        const unsigned char *p = (const unsigned char *)&s.address;

        if (!rows[i].family) {
            if (rc != ERR_MALFORMED)
                fail_msg("%s is taken", rows[i].text);
            continue;
        }
        port = p[2] << 8 | p[3]; /* in both kinds of address the port is behind the family */
        if (rc != 0 || s.address.ss_family != rows[i].family || port != rows[i].port)
            fail_msg("%s: %s", rows[i].text, e.text);
    }
    assert_string_equal(dns_rcode_name(8), "NXRRSET");
    assert_string_equal(dns_rcode_name(77), "an unknown rcode");
    assert_string_equal(dns_tsig_name(17), "BADKEY");
    assert_string_equal(dns_tsig_name(0), "");
}

static struct dns_place place(ldns_rr_type type)
{
    return (struct dns_place){.zone = ldns_dname_new_frm_str("example.test."),
                              .name = ldns_dname_new_frm_str("app.example.test."),
                              .token = ldns_dname_new_frm_str("_fo.app.example.test."),
                              .type = type,
                              .ttl = 30};
}

static void place_free(struct dns_place *p)
{
    ldns_rdf_deep_free(p->zone);
    ldns_rdf_deep_free(p->name);
    ldns_rdf_deep_free(p->token);
}

static void add(ldns_rr_list *list, const ldns_rdf *owner, ldns_rr_type type, const char *value)
{
    ldns_rr *rr = dns_record(owner, type, 30, value);

    assert_non_null(rr);
    assert_true(ldns_rr_list_push_rr(list, rr));
}

static void test_same(void **state)
{
    struct dns_place p = place(LDNS_RR_TYPE_A);
    ldns_rr_list *a = ldns_rr_list_new(), *b = ldns_rr_list_new();

    (void)state;
    add(a, p.name, LDNS_RR_TYPE_A, "192.0.2.1");
    assert_false(dns_same(a, b) || dns_same(b, a));
    add(b, p.name, LDNS_RR_TYPE_A, "192.0.2.2");
    assert_false(dns_same(a, b));
    add(a, p.name, LDNS_RR_TYPE_A, "192.0.2.2");
    assert_false(dns_same(a, b) || dns_same(b, a));
    add(b, p.name, LDNS_RR_TYPE_A, "192.0.2.1");
    assert_true(dns_same(a, b));
    ldns_rr_list_deep_free(a);
    ldns_rr_list_deep_free(b);
    a = ldns_rr_list_new();
    b = ldns_rr_list_new();
    add(a, p.name, LDNS_RR_TYPE_CNAME, "East.example.net");
    add(b, p.name, LDNS_RR_TYPE_CNAME, "east.EXAMPLE.net.");
    assert_true(dns_same(a, b));
    ldns_rr_list_deep_free(a);
    ldns_rr_list_deep_free(b);
    assert_null(dns_record(p.name, LDNS_RR_TYPE_A, 30, "2001:db8::1"));
    assert_null(dns_record(p.name, LDNS_RR_TYPE_AAAA, 30, "192.0.2.1"));
    assert_null(dns_record(p.name, LDNS_RR_TYPE_CNAME, 30, "a..b"));
    place_free(&p);
}

/* The records of a section as text, class and all, one line each. */
static void section_text(const ldns_rr_list *list, char *out, size_t cap)
{
    out[0] = 0;
    for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(list, i);
        char *type = ldns_rr_type2str(ldns_rr_get_type(rr)),
             *class = ldns_rr_class2str(ldns_rr_get_class(rr)), *owner = ldns_rdf2str(ldns_rr_owner(rr)),
             *data = ldns_rr_rdf(rr, 0) ? ldns_rdf2str(ldns_rr_rdf(rr, 0)) : NULL;

        snprintf(out + strlen(out), cap - strlen(out), "%s %u %s %s%s%s\n", owner, ldns_rr_ttl(rr), class,
                 type, data ? " " : "", data ? data : "");
        free(type);
        free(class);
        free(owner);
        free(data);
    }
}

static void test_update(void **state)
{
    struct dns_place p = place(LDNS_RR_TYPE_A);
    struct dns_state was = {.records = ldns_rr_list_new(), .marks = ldns_rr_list_new()};
    ldns_rr_list *fresh = ldns_rr_list_new();
    char text[2048];
    ldns_pkt *u;

    (void)state;
    add(fresh, p.name, LDNS_RR_TYPE_A, "198.51.100.1");
    u = dns_update_packet(&p, &was, fresh, "epoch=7 token=1.5 plan=p");
    assert_non_null(u);
    assert_int_equal(ldns_pkt_get_opcode(u), LDNS_PACKET_UPDATE);
    section_text(ldns_pkt_answer(u), text, sizeof text);
    assert_string_equal(
        text,
        "app.example.test. 0 NONE A\napp.example.test. 0 NONE CNAME\n_fo.app.example.test. 0 NONE TXT\n");
    section_text(ldns_pkt_authority(u), text, sizeof text);
    assert_string_equal(text, "app.example.test. 30 IN A 198.51.100.1\n"
                              "_fo.app.example.test. 30 IN TXT \"epoch=7 token=1.5 plan=p\"\n");
    ldns_pkt_free(u);
    add(was.records, p.name, LDNS_RR_TYPE_A, "192.0.2.1");
    add(was.marks, p.token, LDNS_RR_TYPE_TXT, "epoch=6 token=1.4 plan=o");
    u = dns_update_packet(&p, &was, fresh, "epoch=7 token=1.5 plan=p");
    section_text(ldns_pkt_answer(u), text, sizeof text);
    assert_string_equal(text, "app.example.test. 0 IN A 192.0.2.1\napp.example.test. 0 NONE CNAME\n"
                              "_fo.app.example.test. 0 IN TXT \"epoch=6 token=1.4 plan=o\"\n");
    section_text(ldns_pkt_authority(u), text, sizeof text);
    assert_string_equal(text, "app.example.test. 0 NONE A 192.0.2.1\n"
                              "_fo.app.example.test. 0 NONE TXT \"epoch=6 token=1.4 plan=o\"\n"
                              "app.example.test. 30 IN A 198.51.100.1\n"
                              "_fo.app.example.test. 30 IN TXT \"epoch=7 token=1.5 plan=p\"\n");
    ldns_pkt_free(u);
    u = dns_update_packet(&p, &was, NULL, NULL);
    section_text(ldns_pkt_authority(u), text, sizeof text);
    assert_string_equal(text, "app.example.test. 0 NONE A 0.0.0.0\n"
                              "_fo.app.example.test. 0 NONE TXT \"securebase: a test of rights\"\n");
    ldns_pkt_free(u);
    ldns_rr_list_deep_free(fresh);
    dns_state_free(&was);
    place_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_servers), cmocka_unit_test(test_same),
                                       cmocka_unit_test(test_update)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
