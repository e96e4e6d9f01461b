#include <stdlib.h>
#include <string.h>

#include "support/prop.h"
#include "support/tap.h"
#include "wire/shim.h"

#define UID "0123456789abcdef0123456789abcdef"

static struct buf room(size_t max)
{
    struct buf b;
    buf_init(&b, max);
    return b;
}

static struct shim_start a_start(void)
{
    struct shim_start s = {
        .uid = UID,
        .epoch = 7,
        .incarnation = 9,
        .walls = SHIM_WALLS,
        .id = 2000,
        .own_id = 100,
        .own_group = 101,
        .deadline_ms = SHIM_NONE,
        .cgroup_count = 3,
        .keep_count = 12,
        .group_count = 1,
        .group = {36},
        .limit_count = 2,
        .limit = {{7, 1024}, {6, 512}},
        .argc = 3,
        .argv = {STR("/usr/bin/qemu"), STR(""), STR("-m")},
    };
    return s;
}

TEST(shim_start_comes_back_as_it_was)
{
    struct shim_start s = a_start(), got;
    struct buf b = room(SHIM_START_MAX);
    CHECK_EQ(ST_OK, shim_put_start(&b, &s, NULL));
    CHECK_EQ(ST_OK, shim_get_start(buf_view(&b), &got, NULL));
    CHECK_STR(s.uid, got.uid);
    CHECK_EQ(7, got.epoch);
    CHECK_EQ(9, got.incarnation);
    CHECK_EQ(SHIM_WALLS, got.walls);
    CHECK_EQ(2000, got.id);
    CHECK_EQ(100, got.own_id);
    CHECK_EQ(101, got.own_group);
    CHECK(got.deadline_ms == SHIM_NONE);
    CHECK_EQ(3, got.cgroup_count);
    CHECK_EQ(12, got.keep_count);
    CHECK_EQ(36, got.group[0]);
    CHECK_EQ(512, got.limit[1].value);
    CHECK_EQ(3, got.argc);
    CHECK_STR("/usr/bin/qemu", got.argv[0].ptr); /* each ends in NUL */
    CHECK_STR("", got.argv[1].ptr);
    CHECK_STR("-m", got.argv[2].ptr);
    buf_done(&b);
}

/* What breaks a limit is neither written nor, if somebody else wrote it, read. */
TEST(shim_start_refuses_what_it_must)
{
    struct buf b = room(SHIM_START_MAX);
    struct fault why;
    struct shim_start s = a_start();
    s.uid[0] = 'G';
    CHECK_EQ(ST_INVALID, shim_put_start(&b, &s, &why));
    CHECK_STR("uid is not 32 hex digits", why.text);
    s = a_start();
    s.id = 0;
    CHECK_EQ(ST_INVALID, shim_put_start(&b, &s, &why));
    CHECK_STR("the monitor's user is root's or the shim's own", why.text);
    s = a_start();
    s.id = s.own_id;
    CHECK_EQ(ST_INVALID, shim_put_start(&b, &s, NULL));
    s = a_start();
    s.argc = 0;
    CHECK_EQ(ST_INVALID, shim_put_start(&b, &s, NULL));
    s = a_start();
    s.argv[0] = STR("qemu");
    CHECK_EQ(ST_INVALID, shim_put_start(&b, &s, NULL));
    s = a_start();
    s.argv[1] = (struct str){"a\0b", 3};
    CHECK_EQ(ST_INVALID, shim_put_start(&b, &s, NULL));
    s = a_start();
    s.keep_count = SHIM_KEEP_MAX + 1;
    CHECK_EQ(ST_INVALID, shim_put_start(&b, &s, NULL));
    CHECK_EQ(0, b.len);

    char *much = mem_new(SHIM_START_MAX);
    memset(much, 'x', SHIM_START_MAX);
    s = a_start();
    s.argv[2] = (struct str){much, SHIM_START_MAX};
    CHECK_EQ(ST_TOO_BIG, shim_put_start(&b, &s, NULL));
    CHECK_EQ(0, b.len);
    free(much);
    buf_done(&b);
}

static struct shim_record a_record(void)
{
    struct shim_record r = {
        .uid = UID,
        .epoch = 1,
        .incarnation = 2,
        .phase = SHIM_EXITED,
        .cause = SHIM_LEASE,
        .walls = SHIM_PID | SHIM_NET,
        .shim_pid = 11,
        .shim_start = 12,
        .pid = 13,
        .start = 14,
        .host_boot = {1, 2, 3},
        .deadline_ms = 15,
        .wait_status = 9,
        .started_wall_ns = 16,
        .ended_wall_ns = 17,
        .tail = STR("qemu: no\n"),
    };
    return r;
}

static void check_record(const struct shim_record *got)
{
    struct shim_record r = a_record();
    CHECK_STR(r.uid, got->uid);
    CHECK_EQ(SHIM_EXITED, got->phase);
    CHECK_EQ(SHIM_LEASE, got->cause);
    CHECK_EQ(13, got->pid);
    CHECK_EQ(14, got->start);
    CHECK_EQ(3, got->host_boot[2]);
    CHECK_EQ(9, got->wait_status);
    CHECK_EQ(17, got->ended_wall_ns);
    CHECK(str_is(got->tail, "qemu: no\n"));
}

TEST(shim_record_comes_back_and_shows_damage)
{
    struct shim_record r = a_record(), got;
    struct buf b = room(SHIM_RECORD_MAX);
    CHECK_EQ(ST_OK, shim_put_record(&b, &r, NULL));
    CHECK_EQ(ST_OK, shim_get_record(buf_view(&b), &got, NULL));
    check_record(&got);
    for (size_t i = 0; i < b.len; i++) {
        b.ptr[i] = (char)(b.ptr[i] ^ 0x10);
        CHECK_EQ(ST_CORRUPT, shim_get_record(buf_view(&b), &got, NULL));
        b.ptr[i] = (char)(b.ptr[i] ^ 0x10);
        CHECK_EQ(ST_CORRUPT, shim_get_record((struct str){b.ptr, i}, &got, NULL));
    }
    buf_done(&b);
}

TEST(shim_record_with_a_full_tail_fits)
{
    struct shim_record r = a_record();
    char tail[SHIM_TAIL_MAX] = {0};
    r.tail = (struct str){tail, sizeof tail};
    struct buf b = room(SHIM_MESSAGE_MAX);
    struct shim_answer a = {.type = SHIM_ENDED, .record = r};
    CHECK_EQ(ST_OK, shim_put_answer(&b, &a, NULL));
    buf_done(&b);
}

TEST(shim_requests_and_answers_come_back)
{
    struct buf b = room(SHIM_MESSAGE_MAX);
    struct shim_request q = {.type = SHIM_DEADLINE, .id = 5, .value = 123456789012}, q2;
    shim_put_request(&b, &q);
    CHECK_EQ(SHIM_REQUEST, b.len);
    CHECK_EQ(ST_OK, shim_get_request(buf_view(&b), &q2, NULL));
    CHECK_EQ(SHIM_DEADLINE, q2.type);
    CHECK_EQ(5, q2.id);
    CHECK_EQ(123456789012, q2.value);
    buf_reset(&b);
    struct shim_answer a = {.type = SHIM_REFUSED, .id = 6, .record = a_record()}, a2;
    CHECK_EQ(ST_OK, shim_put_answer(&b, &a, NULL));
    CHECK_EQ(ST_OK, shim_get_answer(buf_view(&b), &a2, NULL));
    CHECK_EQ(SHIM_REFUSED, a2.type);
    CHECK_EQ(6, a2.id);
    check_record(&a2.record);
    buf_done(&b);
}

/* What a later version may say in them must not be taken for what this one knows. */
TEST(shim_reserved_bytes_must_be_zero)
{
    struct shim_request q = {.type = SHIM_STATUS};
    struct shim_answer a = {.type = SHIM_ENDED, .record = a_record()};
    struct fault why;
    struct buf request = room(SHIM_MESSAGE_MAX), answer = room(SHIM_MESSAGE_MAX);
    shim_put_request(&request, &q);
    CHECK_EQ(ST_OK, shim_put_answer(&answer, &a, NULL));
    for (size_t at = 6; at < 8; at++) {
        request.ptr[at] = answer.ptr[at] = 1;
        CHECK_EQ(ST_INVALID, shim_get_request(buf_view(&request), &q, &why));
        CHECK(strstr(why.text, "a reserved field is set") != NULL);
        CHECK_EQ(ST_INVALID, shim_get_answer(buf_view(&answer), &a, &why));
        CHECK(strstr(why.text, "a reserved field is set") != NULL);
        request.ptr[at] = answer.ptr[at] = 0;
    }
    CHECK_EQ(ST_OK, shim_get_request(buf_view(&request), &q, &why));
    CHECK_EQ(ST_OK, shim_get_answer(buf_view(&answer), &a, &why));
    buf_done(&request);
    buf_done(&answer);
}

/* A request of a later version is told from a damaged one. */
TEST(shim_other_version_is_named)
{
    struct buf b = room(SHIM_MESSAGE_MAX);
    struct shim_request q = {.type = SHIM_STATUS};
    struct fault why;
    shim_put_request(&b, &q);
    b.ptr[4] = 2;
    CHECK_EQ(ST_UNSUPPORTED, shim_get_request(buf_view(&b), &q, &why));
    CHECK_STR("the shim speaks another version than 1", why.text);
    b.ptr[0] = 'x';
    CHECK_EQ(ST_INVALID, shim_get_request(buf_view(&b), &q, &why));
    buf_done(&b);
}
