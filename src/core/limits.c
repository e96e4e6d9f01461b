#include "core/limits.h"

void limits_default(struct limits *l)
{
    *l = (struct limits){
        .objects = {[OBJECT_CLUSTER] = 1,
                    [OBJECT_TENANT] = LIMIT_TENANTS,
                    [OBJECT_PROJECT] = LIMIT_PROJECTS,
                    [OBJECT_NODE] = LIMIT_NODES,
                    [OBJECT_IMAGE] = LIMIT_IMAGES,
                    [OBJECT_VM] = LIMIT_VMS,
                    [OBJECT_OPERATION] = LIMIT_OPERATIONS,
                    [OBJECT_EVENT] = LIMIT_EVENTS,
                    [OBJECT_TOKEN] = LIMIT_TOKENS},
        .ended = LIMIT_ENDED,
        .done = LIMIT_DONE,
        .ended_bytes = LIMIT_ENDED_BYTES,
        .events_bytes = LIMIT_EVENTS_BYTES,
        .state_bytes = LIMIT_STATE_BYTES,
    };
}
