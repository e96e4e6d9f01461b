/*
 * draw_command: commands from a tape of bytes, drawn so that they meet: few uids, names, ports and
 * nodes, and reports of what the VMs might do. Some are any valid message, some any bytes.
 */
#pragma once

#include "support/prop.h"
#include "support/world.h"

/* Limits so small that every table fills up. */
void draw_limits(struct limits *l);
/* A cluster with nodes 1 and 2, images and a project, under those limits. */
void draw_start(struct world *w);
/* Draw a command and run it. w->packed holds its bytes. */
void draw_step(struct tape *t, struct world *w);
