#include <stdlib.h>

#include "support/prop.h"
#include "support/tap.h"
#include "wire/guestcfg.h"

static struct guestcfg full(void)
{
    struct guestcfg c = {
        .hostname = "web-1",
        .machine_id = "0123456789abcdef0123456789abcdef",
        .mac = "02:00:00:00:00:01",
        .address = 0x0a010007,
        .prefix = 32,
        .gateway = 0xa9fe0101,
        .dns = {0x0a010001, 0x08080808},
        .dns_count = 2,
        .time_ns = UINT64_C(1790000000000000000),
        .has_seed = true,
        .seed = {0xde, 0xad},
        .root = {.device = "vda", .fs = "ext4", .path = "/"},
        .volume = {{.device = "data", .fs = "ext4", .read_only = true, .path = "/mnt/data"}},
        .volume_count = 1,
        .user_data = STR("#!/bin/sh\n\necho hello\n"),
    };
    return c;
}

TEST(guestcfg_what_is_written_is_read_back)
{
    struct guestcfg c = full(), d;
    struct buf b;
    buf_init(&b, GUESTCFG_TEXT_MAX);
    CHECK_EQ(ST_OK, guestcfg_encode(&c, &b, NULL));
    CHECK_EQ(ST_OK, guestcfg_decode(buf_view(&b), &d, NULL));
    CHECK_STR(c.hostname, d.hostname);
    CHECK_STR(c.machine_id, d.machine_id);
    CHECK_STR(c.mac, d.mac);
    CHECK(d.address == c.address && d.prefix == 32 && d.gateway == c.gateway);
    CHECK(d.dns_count == 2 && d.dns[1] == 0x08080808 && d.time_ns == c.time_ns);
    CHECK(d.has_seed && memcmp(d.seed, c.seed, sizeof c.seed) == 0);
    CHECK_STR("vda", d.root.device);
    CHECK_STR("/", d.root.path);
    CHECK(!d.root.read_only && d.volume_count == 1 && d.volume[0].read_only);
    CHECK_STR("/mnt/data", d.volume[0].path);
    CHECK(str_eq(c.user_data, d.user_data));
    buf_done(&b);
}

TEST(guestcfg_of_nothing_is_its_first_line)
{
    struct guestcfg c = {0};
    struct buf b;
    buf_init(&b, GUESTCFG_TEXT_MAX);
    CHECK_EQ(ST_OK, guestcfg_encode(&c, &b, NULL));
    CHECK_STR("blixard=1\n", buf_cstr(&b));
    buf_done(&b);
}

TEST(guestcfg_unknown_keys_are_skipped)
{
    struct guestcfg c;
    CHECK_EQ(ST_OK, guestcfg_decode(STR("blixard=1\nlater=x\nhostname=a"), &c, NULL));
    CHECK_STR("a", c.hostname);
}

TEST(guestcfg_bad_lines_are_refused)
{
    static const char *const bad[] = {
        "",
        "hostname=a",
        "blixard=2\n",
        "blixard=1\nhostname",
        "blixard=1\nhostname=a b",
        "blixard=1\nhostname=..",
        "blixard=1\nhostname=a\nhostname=b",
        "blixard=1\naddress=10.0.0.1",
        "blixard=1\naddress=10.0.0.1/33",
        "blixard=1\naddress=10.0.0.256/24",
        "blixard=1\naddress=10.0.0.01/24",
        "blixard=1\ngateway=10.0.0",
        "blixard=1\ngateway=10.0.0.1.1",
        "blixard=1\nmachine_id=0123",
        "blixard=1\nmac=02-00-00-00-00-01",
        "blixard=1\nseed=00",
        "blixard=1\nroot=vda",
        "blixard=1\nroot=vda ext4",
        "blixard=1\nroot=vda ext4 rx",
        "blixard=1\nroot=../x ext4 rw",
        "blixard=1\nvolume=d ext4 rw",
        "blixard=1\nvolume=d ext4 rw /a/../..",
        "blixard=1\nvolume=d ext4 rw /a b",
        "blixard=1\ndns=1.1.1.1\ndns=1.1.1.1\ndns=1.1.1.1\ndns=1.1.1.1",
    };
    struct guestcfg c;
    struct fault why;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (guestcfg_decode(str_from(bad[i]), &c, &why) != ST_INVALID)
            tap_fail(__FILE__, __LINE__, "taken: %s", bad[i]);
    CHECK_EQ(ST_INVALID, guestcfg_decode(STR("blixard=1\n\nx\nroot=vda"), &c, &why) == ST_OK
                             ? ST_INVALID
                             : ST_OK); /* behind the empty line all is user data */
}

TEST(guestcfg_fault_names_the_line)
{
    struct guestcfg c;
    struct fault why;
    CHECK_EQ(ST_INVALID, guestcfg_decode(STR("blixard=1\nlater=1\nmac=x\n"), &c, &why));
    CHECK_STR("line 3: mac has a value that is not allowed", why.text);
}

/* A value that brings a line of its own would let a name choose the root disk. */
TEST(guestcfg_values_cannot_bring_lines)
{
    struct guestcfg c = {.hostname = "a\nroot=vdb ext4 rw"};
    struct fault why;
    struct buf b;
    buf_init(&b, GUESTCFG_TEXT_MAX);
    CHECK_EQ(ST_INVALID, guestcfg_encode(&c, &b, &why));
    CHECK_STR("hostname", why.field);
    c = (struct guestcfg){.root = {.device = "vda", .fs = "ext4 rw /x", .path = "/"}};
    CHECK_EQ(ST_INVALID, guestcfg_encode(&c, &b, &why));
    CHECK_EQ(0, b.len);
    buf_done(&b);
}

TEST(guestcfg_too_much_user_data_is_refused)
{
    struct buf b;
    buf_init(&b, GUESTCFG_TEXT_MAX);
    char *data = mem_new(GUESTCFG_USER_DATA_MAX + 1);
    memset(data, 'x', GUESTCFG_USER_DATA_MAX + 1);
    struct guestcfg c = {.user_data = {data, GUESTCFG_USER_DATA_MAX + 1}};
    CHECK_EQ(ST_TOO_BIG, guestcfg_encode(&c, &b, NULL));
    c.user_data.len--;
    CHECK_EQ(ST_OK, guestcfg_encode(&c, &b, NULL));
    free(data);
    buf_done(&b);
}

/* What is taken can be written, and is then read the same. */
static void taken_text_is_stable(struct tape *t)
{
    static const char *const piece[] = {
        "blixard=1", "\n",  "hostname=", "address=", "gateway=", "dns=",
        "root=",     "vda", " ext4",     " rw",      " ro",      " /mnt",
        "volume=",   "x",   "10.0.0.1",  "/24",      "=",        "#!/bin/sh",
    };
    struct buf b, again;
    buf_init(&b, GUESTCFG_TEXT_MAX);
    buf_init(&again, GUESTCFG_TEXT_MAX);
    buf_text(&b, "blixard=1\n");
    for (uint64_t n = draw_below(t, 30); n > 0; n--)
        buf_text(&b, piece[draw_below(t, ARRAY_COUNT(piece))]);
    struct guestcfg c, d;
    if (guestcfg_decode(buf_view(&b), &c, NULL) == ST_OK) {
        CHECK_EQ(ST_OK, guestcfg_encode(&c, &again, NULL));
        CHECK_EQ(ST_OK, guestcfg_decode(buf_view(&again), &d, NULL));
        CHECK_STR(c.hostname, d.hostname);
        CHECK_STR(c.root.path, d.root.path);
        CHECK(c.address == d.address && c.volume_count == d.volume_count);
        CHECK(str_eq(c.user_data, d.user_data));
    }
    buf_done(&b);
    buf_done(&again);
}

TEST(guestcfg_taken_text_is_stable)
{
    prop_run(taken_text_is_stable, 1, 300);
}
