/*
 * Any bytes, in any chunks, into the decoder of either end, and every frame into its message's reader.
 * The first byte chooses the end and the size of the chunks.
 */
#include "wire/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const struct agent_frame *f)
{
    struct agent_hello hello;
    struct agent_exit x;
    struct agent_stats stats;
    struct agent_file file;
    struct fault error;
    struct str path;
    enum agent_power power;
    uint8_t seed[AGENT_SEED];
    uint64_t number;
    uint32_t small;
    uint16_t rows, cols;
    static struct agent_exec exec;
    /* Each reader gets every payload: a peer may put any type on any bytes. */
    (void)!agent_get_hello(f->payload, &hello, NULL);
    (void)!agent_get_exec(f->payload, &exec, NULL);
    (void)!agent_get_exit(f->payload, &x, NULL);
    (void)!agent_get_ping(f->payload, &number, NULL);
    (void)!agent_get_resize(f->payload, &rows, &cols, NULL);
    (void)!agent_get_signal(f->payload, &small, NULL);
    (void)!agent_get_credit(f->payload, &small, NULL);
    (void)!agent_get_stats(f->payload, &stats, NULL);
    (void)!agent_get_power(f->payload, &power, NULL);
    (void)!agent_get_reseed(f->payload, seed, NULL);
    (void)!agent_get_file(AGENT_FILE_PUSH, f->payload, &file, NULL);
    (void)!agent_get_file(AGENT_FILE_INFO, f->payload, &file, NULL);
    (void)!agent_get_pull(f->payload, &path, NULL);
    (void)!agent_get_done(f->payload, &number, NULL);
    (void)!agent_get_error(f->payload, &error, NULL);
    (void)agent_type_name(f->type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t nonce[AGENT_NONCE];
    if (size == 0)
        return 0;
    size_t chunk = 1 + (data[0] >> 1);
    struct agent_decoder d;
    agent_decoder_init(&d, data[0] & 1 ? nonce : NULL);
    for (size_t at = 1; at < size; at += chunk) {
        agent_decoder_feed(&d, data + at, MIN(chunk, size - at));
        for (struct agent_frame f; agent_decoder_next(&d, &f);)
            read_all(&f);
    }
    require(d.dropped <= size);
    agent_decoder_done(&d);
    return 0;
}
