#include "ops/fields.h"

#include "wire/schema.h"

static const ProtobufCFieldDescriptor *field_of(const ProtobufCMessageDescriptor *desc,
                                                struct str name)
{
    for (unsigned i = 0; i < desc->n_fields; i++)
        if (str_is(name, desc->fields[i].name))
            return schema_field(desc, &desc->fields[i])->hidden ? NULL : &desc->fields[i];
    return NULL;
}

static bool has_path(const ProtobufCMessageDescriptor *desc, struct str path)
{
    struct str name;
    for (bool more = true; more;) {
        more = str_cut(&path, '.', &name);
        const ProtobufCFieldDescriptor *f = desc ? field_of(desc, name) : NULL;
        if (!f)
            return false;
        bool nested = f->type == PROTOBUF_C_TYPE_MESSAGE && f->label != PROTOBUF_C_LABEL_REPEATED;
        desc = nested ? f->descriptor : NULL;
    }
    return true;
}

enum status fields_parse(struct fields *f, const ProtobufCMessageDescriptor *desc, struct str text,
                         struct fault *why)
{
    f->count = 0;
    for (bool more = text.len > 0; more;) {
        struct str path;
        more = str_cut(&text, ',', &path);
        path = str_trim(path);
        if (f->count == FIELDS_MAX)
            return fault_set(why, ST_TOO_BIG, "more than %d fields", FIELDS_MAX);
        if (!has_path(desc, path))
            return fault_set(why, ST_INVALID, "there is no field \"" STR_FMT "\"", STR_ARG(path));
        f->path[f->count++] = path;
    }
    return ST_OK;
}

/* Copy what stands at `path` in `from` to the same place in `to`. */
static void copy_path(json_t *to, json_t *from, struct str path)
{
    struct str name;
    bool more = str_cut(&path, '.', &name);
    json_t *there = json_object_getn(from, name.ptr, name.len);
    if (!there)
        return;
    if (!more) {
        int failed = json_object_setn(to, name.ptr, name.len, there);
        ensure(!failed);
        return;
    }
    json_t *inner = json_object_getn(to, name.ptr, name.len);
    if (!inner) {
        inner = json_object();
        int failed = json_object_setn_new(to, name.ptr, name.len, inner);
        ensure(!failed);
    }
    if (inner != there) /* the whole of it was asked for as well */
        copy_path(inner, there, path);
}

json_t *fields_pick(const struct fields *f, json_t *v)
{
    if (f->count == 0)
        return v;
    json_t *picked = json_object();
    for (size_t i = 0; i < f->count; i++)
        copy_path(picked, v, f->path[i]);
    json_decref(v);
    return picked;
}
