/*
 * self: what the kernel says of this process. NAN where it does not say.
 */
#pragma once

double self_rss_bytes(void);
double self_cpu_seconds(void);
double self_open_fds(void);
double self_threads(void);
double self_start_seconds(void); /* since 1970 */
