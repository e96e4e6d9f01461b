/*
 * vm_spec: what a VM should be: its defaults, and what must fit together beyond the limits of proto/.
 */
#pragma once

#include "base/fault.h"
#include "pb/image.pb-c.h"
#include "pb/node.pb-c.h"
#include "pb/vm.pb-c.h"

/* Give every field that has a default its value, so that a later change of the default does not
 * change a VM that exists. */
void vm_spec_fill(Pb__VmSpec *spec);

/* ST_INVALID, with the field: names of volumes and forwarded ports that are lacking or double. */
MUST_USE enum status vm_spec_check(const Pb__VmSpec *spec, struct fault *why);

/* ST_INVALID: the image has no such root. */
MUST_USE enum status vm_spec_fits_image(const Pb__VmSpec *spec, const Pb__Image *image,
                                        struct fault *why);

/* ST_CAPACITY: it could never run there. Sums over VMs are not compared: memory may be shared and
 * overcommitted. */
MUST_USE enum status vm_spec_fits_node(const Pb__VmSpec *spec, const Pb__Node *node,
                                       struct fault *why);

/* May `now` take the place of `old`, as far as check_change() does not tell? ST_INVALID: a volume
 * would be lost or change its size. Both passed vm_spec_check(). */
MUST_USE enum status vm_spec_change(const Pb__VmSpec *old, const Pb__VmSpec *now,
                                    struct fault *why);
