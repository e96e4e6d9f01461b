#include "ops/filter.h"
#include "pb/image.pb-c.h"
#include "pb/vm.pb-c.h"
#include "support/tap.h"
#include "wire/proto.h"

static Pb__Vm *sample(void)
{
    Pb__Vm *vm = (Pb__Vm *)proto_new(&pb__vm__descriptor);
    vm->meta = (Pb__Meta *)proto_new(&pb__meta__descriptor);
    vm->spec = (Pb__VmSpec *)proto_new(&pb__vm_spec__descriptor);
    vm->status = (Pb__VmStatus *)proto_new(&pb__vm_status__descriptor);
    proto_set(&vm->meta->name, "web 1");
    proto_set(&vm->spec->image, "a&&b");
    PROTO_SET(vm->spec, mem_mib, 2048);
    PROTO_SET(vm->status, phase, PB__VM_PHASE__VM_RUNNING);
    PROTO_SET(vm->status, node, 1);
    return vm;
}

static bool passes(const char *text)
{
    struct filter f;
    struct fault why = {0};
    printf("# %s\n", text);
    enum status s = filter_parse(&f, &pb__vm__descriptor, str_from(text), &why);
    if (s != ST_OK)
        printf("# %s\n", why.text);
    CHECK_EQ(ST_OK, s);
    AUTO(auto_proto_free) Pb__Vm *vm = sample();
    return filter_passes(&f, &vm->base);
}

TEST(filter_compares_words_numbers_and_texts)
{
    CHECK(passes(""));
    CHECK(passes("   "));
    CHECK(passes("phase==running"));
    CHECK(!passes("phase!=running"));
    CHECK(passes("status.phase == running && node==1"));
    CHECK(!passes("phase==running&&node!=1"));
    CHECK(passes("name=='web 1'"));
    CHECK(passes("meta.name==\"web 1\""));
    CHECK(passes("image=='a&&b' && name!=web"));
    CHECK(passes("mem_mib==2048"));
    CHECK(passes("mem_mib==2GiB"));
    CHECK(!passes("mem_mib==1GiB"));
}

TEST(filter_orders_numbers)
{
    CHECK(passes("mem_mib>=2GiB"));
    CHECK(passes("mem_mib<=2048"));
    CHECK(!passes("mem_mib>2048"));
    CHECK(passes("mem_mib > 2047 && node<2"));
    CHECK(!passes("node<1"));
    CHECK(passes("restarts>=0"));
    CHECK(!passes("restarts>=1"));
}

TEST(filter_counts_what_is_unset_as_its_default)
{
    CHECK(passes("vcpus==1"));
    CHECK(passes("cause==none"));
    CHECK(passes("address==''"));
    CHECK(passes("power==stopped"));
    struct filter f;
    AUTO(auto_proto_free) ProtobufCMessage *bare = proto_new(&pb__vm__descriptor);
    CHECK_EQ(ST_OK, filter_parse(&f, &pb__vm__descriptor, STR("vcpus==1 && phase==absent"), NULL));
    CHECK(filter_passes(&f, bare));
}

TEST(filter_refuses_what_it_does_not_understand)
{
    static const char *const bad[] = {
        "phase",
        "phase=running",
        "phase==",
        "==running",
        "phase==runing",
        "phase==running &&",
        "phase==running & node==1",
        "node==one",
        "node==4294967296",
        "name=='web",
        "nose==1",
        "meta==1",
        "meta.name.x==1",
        "spec==''",
        "phase==running node==1",
        "spec.volumes==1",
        "phase>=running",
        "name<web",
        "node=>1",
        "meta..name==1",
        ".name==1",
        "user_data==x",
        "PHASE==running",
        "phase==running||a==b",
        "mem_mib==1XiB",
    };
    struct filter f;
    struct fault why;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        printf("# %s\n", bad[i]);
        CHECK_EQ(ST_INVALID, filter_parse(&f, &pb__vm__descriptor, str_from(bad[i]), &why));
    }
    CHECK_EQ(ST_INVALID, filter_parse(&f, &pb__vm__descriptor, STR("phas==running"), &why));
    CHECK_STR("did you mean phase?", why.hint);
    CHECK_EQ(ST_INVALID, filter_parse(&f, &pb__vm__descriptor, STR("phase==runing"), &why));
    CHECK_STR("phase: \"runing\" is not one of its words", why.text);
    CHECK_STR("did you mean running?", why.hint);
}

TEST(filter_is_bounded)
{
    static char text[FILTER_LEN_MAX + 2];
    struct filter f;
    for (size_t i = 0; i < FILTER_TERMS_MAX; i++)
        (void)strcat(text, i ? "&&node==1" : "node==1");
    CHECK_EQ(ST_OK, filter_parse(&f, &pb__vm__descriptor, str_from(text), NULL));
    (void)strcat(text, "&&node==1");
    CHECK_EQ(ST_TOO_BIG, filter_parse(&f, &pb__vm__descriptor, str_from(text), NULL));
    memset(text, ' ', FILTER_LEN_MAX + 1);
    CHECK_EQ(ST_TOO_BIG, filter_parse(&f, &pb__vm__descriptor, str_from(text), NULL));
}

TEST(filter_knows_columns_of_other_nouns)
{
    struct filter f;
    CHECK_EQ(ST_OK,
             filter_parse(&f, &pb__image__descriptor, STR("size==1MiB && kind!=disk"), NULL));
    CHECK_EQ(1 << 20, f.term[0].number);
}
