/*
 * entropy_os: the kernel's random bytes (getrandom(2)) as port/entropy.h. Any thread may ask.
 */
#pragma once

#include "port/entropy.h"

void entropy_os_init(struct entropy *e);
