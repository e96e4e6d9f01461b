#include "cli/node_config.h"

#include <string.h>
#include <unistd.h>

#include "cli/input.h"

enum status node_config_read(const char *file, struct config *ret, struct fault *why)
{
    char host[256] = "";
    AUTO(buf_done) struct buf text;
    buf_init(&text, NODE_CONFIG_MAX);
    (void)gethostname(host, sizeof host - 1);
    enum status s = input_read(file ? file : CONFIG_FILE, &text, why);
    if (s != ST_OK && (file || s != ST_NOT_FOUND))
        return s;
    return config_read(ret, file ? file : CONFIG_FILE, buf_view(&text), environ, str_from(host),
                       why);
}
