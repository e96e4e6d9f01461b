/*
 * names: names that the system itself gives.
 */
#pragma once

/* Of the tenant and the project that requests mean when they name none. */
#define NAME_DEFAULT "default"
