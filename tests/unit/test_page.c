#include <stdlib.h>

#include "ops/fields.h"
#include "ops/names.h"
#include "ops/page.h"
#include "support/prop.h"
#include "support/tap.h"
#include "wire/check.h"
#include "wire/json.h"
#include "wire/proto.h"

enum { OBJECTS_MAX = 40 };

static struct object *make(const char *name, const char *project, unsigned number)
{
    char uid[OBJECT_UID_MAX];
    Pb__Vm *vm = (Pb__Vm *)(void *)proto_new(&pb__vm__descriptor);
    vm->meta = (Pb__Meta *)(void *)proto_new(&pb__meta__descriptor);
    (void)snprintf(uid, sizeof uid, "%032x", number);
    proto_set(&vm->meta->name, name);
    proto_set(&vm->meta->project, project);
    proto_set(&vm->meta->uid, uid);
    return object_new(OBJECT_VM, &vm->base);
}

static int compare(const void *a, const void *b)
{
    struct page_place x = page_place_of(*(struct object *const *)a);
    struct page_place y = page_place_of(*(struct object *const *)b);
    return page_compare(&x, &y);
}

/* One page after a cursor, of the objects in any order. */
static size_t next_page(struct object **all, size_t count, size_t limit, const char *cursor,
                        struct object **ret, bool *ret_more)
{
    static char room[PAGE_CURSOR_MAX];
    struct page *p = NEW(struct page);
    p->limit = limit;
    p->has_after = cursor[0];
    if (cursor[0])
        CHECK_EQ(ST_OK, page_parse_cursor(cursor, room, &p->after, NULL));
    for (size_t i = 0; i < count; i++)
        page_add(p, all[i]);
    size_t n = p->count;
    memcpy(ret, p->item, n * sizeof *ret);
    *ret_more = p->more;
    free(p);
    return n;
}

/* Pages put together are all objects, sorted, whatever their order and the size of a page. */
static void pages_are_whole(struct tape *t)
{
    static const char *const names[] = {"a", "a-b", "a0", "b", "ab", "z9"};
    static const char *const projects[] = {"default", "x", "default-2"};
    struct object *all[OBJECTS_MAX], *sorted[OBJECTS_MAX], *page[OBJECTS_MAX];
    size_t count = (size_t)draw_below(t, OBJECTS_MAX), limit = 1 + (size_t)draw_below(t, 7);
    for (size_t i = 0; i < count; i++)
        all[i] = make(names[draw_below(t, ARRAY_COUNT(names))],
                      projects[draw_below(t, ARRAY_COUNT(projects))], (unsigned)i * 7919 % 4096);
    memcpy(sorted, all, sizeof all);
    qsort(sorted, count, sizeof sorted[0], compare);

    char cursor[PAGE_CURSOR_MAX] = "";
    bool more = true;
    size_t got = 0;
    while (more) {
        size_t n = next_page(all, count, limit, cursor, page, &more);
        CHECK(n == limit || !more);
        for (size_t i = 0; i < n; i++)
            CHECK(page[i] == sorted[got + i]);
        got += n;
        if (n == 0)
            break;
        struct page_place last = page_place_of(page[n - 1]);
        page_cursor(&last, cursor);
    }
    CHECK_EQ(count, got);
    for (size_t i = 0; i < count; i++)
        object_unref(all[i]);
}

TEST(page_pages_are_whole)
{
    prop_run(pages_are_whole, 1, 300);
}

TEST(page_refuses_other_cursors)
{
    static const char *const bad[] = {
        "",       "x", "1", "1,a", "1,a,b", "-1,a,b,c", "1,a,b,c,d", "99999999999999999999,a,b,c",
        "1;a;b;c"};
    char room[PAGE_CURSOR_MAX];
    struct page_place place;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        printf("# %s\n", bad[i]);
        CHECK_EQ(ST_INVALID, page_parse_cursor(bad[i], room, &place, NULL));
    }
    CHECK_EQ(ST_OK, page_parse_cursor("5,a,,c", room, &place, NULL));
    CHECK(place.time_ns == 5 && place.project[0] == 0);
    CHECK_STR("a", place.name);
    CHECK_STR("c", place.uid);
}

static const char *pick(const char *paths, const char *json)
{
    static char out[400];
    struct fields f;
    json_t *v = NULL;
    json_setup();
    CHECK_EQ(ST_OK, fields_parse(&f, &pb__vm__descriptor, str_from(paths), NULL));
    CHECK_EQ(ST_OK, json_parse(str_from(json), 1000, &v, NULL));
    v = fields_pick(&f, v);
    AUTO(buf_done) struct buf text;
    buf_init(&text, sizeof out - 1);
    json_dump(v, false, &text);
    json_decref(v);
    (void)snprintf(out, sizeof out, "%s", buf_cstr(&text));
    return out;
}

TEST(fields_are_picked)
{
    static const char vm[] =
        "{\"meta\":{\"name\":\"a\",\"uid\":\"1\"},\"spec\":{\"vcpus\":2},\"mac\":\"m\"}";
    CHECK_STR("{\"meta\":{\"name\":\"a\"}}", pick("meta.name", vm));
    CHECK_STR("{\"meta\":{\"name\":\"a\"},\"mac\":\"m\"}", pick("meta.name, mac", vm));
    CHECK_STR("{\"meta\":{\"name\":\"a\",\"uid\":\"1\"}}", pick("meta,meta.name", vm));
    CHECK_STR("{\"meta\":{\"name\":\"a\",\"uid\":\"1\"}}", pick("meta.uid,meta", vm));
    CHECK_STR("{}", pick("status.phase", vm));
    CHECK_STR("{\"meta\":{\"name\":\"a\",\"uid\":\"1\"},\"spec\":{\"vcpus\":2},\"mac\":\"m\"}",
              pick("", vm));
}

TEST(fields_that_are_not_there_are_refused)
{
    static const char *const bad[] = {
        "name", "meta.", ".", "meta..name", "meta.name.x", ",", "spec.volumes.name"};
    struct fields f;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        printf("# %s\n", bad[i]);
        CHECK_EQ(ST_INVALID, fields_parse(&f, &pb__vm__descriptor, str_from(bad[i]), NULL));
    }
    static char many[FIELDS_MAX * 4 + 8];
    for (int i = 0; i <= FIELDS_MAX; i++)
        (void)strcat(many, i ? ",mac" : "mac");
    CHECK_EQ(ST_TOO_BIG, fields_parse(&f, &pb__vm__descriptor, str_from(many), NULL));
}

TEST(names_are_names)
{
    char name[NAMES_MAX];
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 64; b++) {
            uint8_t dice[8] = {(uint8_t)a, (uint8_t)b, (uint8_t)(a ^ b)};
            names_make(dice, (a + b) % 8, name);
            CHECK(check_is_name(name));
        }
}
