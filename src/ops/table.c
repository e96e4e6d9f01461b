#include "ops/table.h"

#include <stdio.h>
#include <string.h>

#include "pb/cluster.pb-c.h"
#include "pb/event.pb-c.h"
#include "pb/image.pb-c.h"
#include "pb/node.pb-c.h"
#include "pb/operation.pb-c.h"
#include "pb/token.pb-c.h"
#include "pb/vm.pb-c.h"

#define ROW(id_, name_, method_, path_, role_) \
    [id_] = {                                  \
        .id = id_, .name = name_, .method = method_, .path = path_, .role = PB__ROLE__ROLE_##role_
#define TAKES(type)   .request = &pb__##type##__descriptor
#define ANSWERS(type) .response = &pb__##type##__descriptor

/* clang-format off */
static const struct op rows[OP_COUNT] = {
    ROW(OP_VM_CREATE, "vm.create", "POST", "/v1/vms", OPERATOR),
        .doc = "Make a VM, and start it unless told not to",
        .args = "[NAME]",
        .examples = {"blixard vm create web-1 --image debian --memory 1GiB",
                     "blixard vm create --image debian --dry-run"},
        .flags = OP_MUTATES | OP_SLOW,
        TAKES(vm_create_request), ANSWERS(operation)},
    ROW(OP_VM_LS, "vm.ls", "GET", "/v1/vms", VIEWER),
        .doc = "List VMs",
        .args = "",
        .examples = {"blixard vm ls", "blixard vm ls --filter 'phase==running && node==1' -o json"},
        .flags = OP_LIST,
        TAKES(list_query), ANSWERS(vm)},
    ROW(OP_VM_SHOW, "vm.show", "GET", "/v1/vms/{name}", VIEWER),
        .doc = "Show a VM: what it should be and what it is",
        .args = "NAME",
        .examples = {"blixard vm show web-1", "blixard vm show web-1 -o yaml"},
        .flags = OP_PROJECT,
        TAKES(empty), ANSWERS(vm)},
    ROW(OP_VM_UPDATE, "vm.update", "PATCH", "/v1/vms/{name}", OPERATOR),
        .doc = "Change what a VM should be; it holds from its next start",
        .args = "NAME",
        .examples = {"blixard vm update web-1 --vcpus 2 --memory 2GiB"},
        .flags = OP_MUTATES | OP_PROJECT,
        TAKES(vm_update_request), ANSWERS(vm)},
    ROW(OP_VM_DELETE, "vm.delete", "DELETE", "/v1/vms/{name}", OPERATOR),
        .doc = "Stop a VM and remove it with its disks",
        .args = "NAME",
        .examples = {"blixard vm delete web-1", "blixard vm delete web-1 --force --yes"},
        .flags = OP_MUTATES | OP_SLOW | OP_DESTROYS | OP_PROJECT,
        TAKES(delete_request), ANSWERS(operation)},
    ROW(OP_VM_START, "vm.start", "POST", "/v1/vms/{name}/start", OPERATOR),
        .doc = "Start a VM",
        .args = "NAME",
        .examples = {"blixard vm start web-1"},
        .flags = OP_MUTATES | OP_SLOW | OP_PROJECT,
        TAKES(vm_power_request), ANSWERS(operation)},
    ROW(OP_VM_STOP, "vm.stop", "POST", "/v1/vms/{name}/stop", OPERATOR),
        .doc = "Ask a VM's guest to power off; end it when its deadline passes",
        .args = "NAME",
        .examples = {"blixard vm stop web-1", "blixard vm stop web-1 --force"},
        .flags = OP_MUTATES | OP_SLOW | OP_PROJECT,
        TAKES(vm_power_request), ANSWERS(operation)},
    ROW(OP_VM_RESTART, "vm.restart", "POST", "/v1/vms/{name}/restart", OPERATOR),
        .doc = "Stop a VM if it runs, then start it",
        .args = "NAME",
        .examples = {"blixard vm restart web-1"},
        .flags = OP_MUTATES | OP_SLOW | OP_PROJECT,
        TAKES(vm_power_request), ANSWERS(operation)},
    ROW(OP_VM_PAUSE, "vm.pause", "POST", "/v1/vms/{name}/pause", OPERATOR),
        .doc = "Hold a VM's CPUs; its memory stays",
        .args = "NAME",
        .examples = {"blixard vm pause web-1"},
        .flags = OP_MUTATES | OP_SLOW | OP_PROJECT,
        TAKES(vm_power_request), ANSWERS(operation)},
    ROW(OP_VM_RESUME, "vm.resume", "POST", "/v1/vms/{name}/resume", OPERATOR),
        .doc = "Let a paused VM go on",
        .args = "NAME",
        .examples = {"blixard vm resume web-1"},
        .flags = OP_MUTATES | OP_SLOW | OP_PROJECT,
        TAKES(vm_power_request), ANSWERS(operation)},
    ROW(OP_VM_LOGS, "vm.logs", "GET", "/v1/vms/{name}/logs", VIEWER),
        .doc = "Show what a VM wrote to its console",
        .args = "NAME",
        .examples = {"blixard vm logs web-1", "blixard vm logs web-1 --follow"},
        .flags = OP_STREAM | OP_PROJECT | OP_PLACED,
        TAKES(vm_logs_query)},
    ROW(OP_VM_CONSOLE, "vm.console", "GET", "/v1/vms/{name}/console", OPERATOR),
        .doc = "Attach the terminal to a VM's console",
        .args = "NAME",
        .examples = {"blixard vm console web-1"},
        .flags = OP_SOCKET | OP_BY_HAND | OP_PROJECT | OP_PLACED,
        TAKES(empty)},
    ROW(OP_VM_EXEC, "vm.exec", "GET", "/v1/vms/{name}/exec", OPERATOR),
        .doc = "Run a command in a VM and exit with its status",
        .args = "NAME COMMAND...",
        .examples = {"blixard vm exec web-1 uname -a", "blixard vm exec web-1 --tty -- /bin/sh"},
        .flags = OP_SOCKET | OP_BY_HAND | OP_PROJECT | OP_PLACED,
        TAKES(vm_exec_query)},
    ROW(OP_VM_PUSH, "vm.push", "PUT", "/v1/vms/{name}/files", OPERATOR),
        .doc = "Write a file in a VM",
        .args = "NAME FILE PATH",
        .examples = {"blixard vm push web-1 app.conf /etc/app.conf"},
        .flags = OP_UPLOAD | OP_BY_HAND | OP_PROJECT | OP_PLACED,
        TAKES(vm_file_query)},
    ROW(OP_VM_PULL, "vm.pull", "GET", "/v1/vms/{name}/files", OPERATOR),
        .doc = "Read a file from a VM",
        .args = "NAME PATH FILE",
        .examples = {"blixard vm pull web-1 /var/log/dmesg dmesg.txt"},
        .flags = OP_STREAM | OP_BY_HAND | OP_PROJECT | OP_PLACED,
        TAKES(vm_file_query)},
    ROW(OP_VM_STATS, "vm.stats", "GET", "/v1/vms/{name}/stats", VIEWER),
        .doc = "Show what a running VM uses",
        .args = "NAME",
        .examples = {"blixard vm stats web-1"},
        .flags = OP_PROJECT | OP_PLACED,
        TAKES(empty), ANSWERS(vm_stats)},

    ROW(OP_IMAGE_BUILD, "image.build", "POST", "/v1/images", OPERATOR),
        .doc = "Build an image from Debian packages",
        .args = "NAME",
        .examples = {"blixard image build tiny",
                     "blixard image build debian --root minbase --package openssh-server"},
        .flags = OP_MUTATES | OP_SLOW,
        TAKES(image_request), ANSWERS(operation)},
    /* It reads any file that the daemon may read, its keys included. */
    ROW(OP_IMAGE_IMPORT, "image.import", "POST", "/v1/images/import", ADMIN),
        .doc = "Import an image from files on the node",
        .args = "NAME",
        .examples = {"blixard image import mine --kernel /srv/vmlinux --initrd /srv/initrd.img",
                     "blixard image import disk --root /srv/disk.qcow2"},
        .flags = OP_MUTATES | OP_SLOW,
        TAKES(image_request), ANSWERS(operation)},
    ROW(OP_IMAGE_LS, "image.ls", "GET", "/v1/images", VIEWER),
        .doc = "List images",
        .args = "",
        .examples = {"blixard image ls"},
        .flags = OP_LIST,
        TAKES(list_query), ANSWERS(image)},
    ROW(OP_IMAGE_SHOW, "image.show", "GET", "/v1/images/{name}", VIEWER),
        .doc = "Show an image and what it is made of",
        .args = "NAME",
        .examples = {"blixard image show debian"},
        .flags = OP_PROJECT,
        TAKES(empty), ANSWERS(image)},
    ROW(OP_IMAGE_DELETE, "image.delete", "DELETE", "/v1/images/{name}", OPERATOR),
        .doc = "Remove an image that no VM uses",
        .args = "NAME",
        .examples = {"blixard image delete debian"},
        .flags = OP_MUTATES | OP_SLOW | OP_DESTROYS | OP_PROJECT,
        TAKES(delete_request), ANSWERS(operation)},

    ROW(OP_NODE_LS, "node.ls", "GET", "/v1/nodes", VIEWER),
        .doc = "List the machines of the cluster",
        .args = "",
        .examples = {"blixard node ls"},
        .flags = OP_LIST,
        TAKES(list_query), ANSWERS(node)},
    ROW(OP_NODE_SHOW, "node.show", "GET", "/v1/nodes/{name}", VIEWER),
        .doc = "Show a machine of the cluster",
        .args = "[NAME]",
        .examples = {"blixard node show", "blixard node show n1 -o json"},
        TAKES(empty), ANSWERS(node)},
    ROW(OP_NODE_SHUTDOWN, "node.shutdown", "POST", "/v1/nodes/{name}/shutdown", ADMIN),
        .doc = "Stop all VMs of a node; they start again with the host",
        .args = "[NAME]",
        .examples = {"blixard node shutdown --yes", "blixard node shutdown n1 --timeout 90s"},
        .flags = OP_DESTROYS | OP_PLACED,
        TAKES(shutdown_request)},
    ROW(OP_NODE_TOKEN, "node.token", "POST", "/v1/nodes/token", ADMIN),
        .doc = "Make a ticket with which one machine joins the cluster, and show it this once",
        .args = "",
        .examples = {"blixard node token", "blixard node token --name n2 --ttl 1h"},
        .flags = OP_MUTATES | OP_BY_HAND,
        TAKES(node_token_request), ANSWERS(token)},
    ROW(OP_NODE_REMOVE, "node.remove", "DELETE", "/v1/nodes/{name}", ADMIN),
        .doc = "Remove a machine that holds neither VMs nor images from the cluster",
        .args = "NAME",
        .examples = {"blixard node remove n2", "blixard node remove n2 --yes"},
        .flags = OP_MUTATES | OP_DESTROYS,
        TAKES(node_remove_request)},

    ROW(OP_CLUSTER_SHOW, "cluster.show", "GET", "/v1/cluster", VIEWER),
        .doc = "Show the cluster",
        .args = "",
        .examples = {"blixard cluster show"},
        TAKES(empty), ANSWERS(cluster)},
    ROW(OP_CLUSTER_MEMBERS, "cluster.members", "GET", "/v1/cluster/members", VIEWER),
        .doc = "List who takes part in consensus, and how far they are",
        .args = "",
        .examples = {"blixard cluster members", "blixard cluster members --filter 'active==false' -o json"},
        .flags = OP_LIST,
        TAKES(list_query), ANSWERS(member)},
    ROW(OP_CLUSTER_TRANSFER_LEADER, "cluster.transfer-leader", "POST", "/v1/cluster/transfer-leader", ADMIN),
        .doc = "Let another node lead, and wait until it does",
        .args = "",
        .examples = {"blixard cluster transfer-leader", "blixard cluster transfer-leader --to n2"},
        TAKES(transfer_leader_request), ANSWERS(member)},
    ROW(OP_TENANT_CREATE, "tenant.create", "POST", "/v1/tenants", ADMIN),
        .doc = "Make a tenant",
        .args = "NAME",
        .examples = {"blixard tenant create acme --title 'Acme Corporation'"},
        .flags = OP_MUTATES,
        TAKES(tenant_request), ANSWERS(tenant)},
    ROW(OP_TENANT_LS, "tenant.ls", "GET", "/v1/tenants", VIEWER),
        .doc = "List tenants",
        .args = "",
        .examples = {"blixard tenant ls"},
        .flags = OP_LIST,
        TAKES(list_query), ANSWERS(tenant)},
    ROW(OP_TENANT_SHOW, "tenant.show", "GET", "/v1/tenants/{name}", VIEWER),
        .doc = "Show a tenant",
        .args = "NAME",
        .examples = {"blixard tenant show acme"},
        TAKES(empty), ANSWERS(tenant)},
    ROW(OP_TENANT_DELETE, "tenant.delete", "DELETE", "/v1/tenants/{name}", ADMIN),
        .doc = "Remove a tenant that has no projects",
        .args = "NAME",
        .examples = {"blixard tenant delete acme"},
        .flags = OP_MUTATES | OP_DESTROYS,
        TAKES(delete_request)},
    ROW(OP_PROJECT_CREATE, "project.create", "POST", "/v1/projects", ADMIN),
        .doc = "Make a project",
        .args = "NAME",
        .examples = {"blixard project create shop --tenant acme"},
        .flags = OP_MUTATES,
        TAKES(project_request), ANSWERS(project)},
    ROW(OP_PROJECT_LS, "project.ls", "GET", "/v1/projects", VIEWER),
        .doc = "List projects",
        .args = "",
        .examples = {"blixard project ls --filter tenant==acme"},
        .flags = OP_LIST,
        TAKES(list_query), ANSWERS(project)},
    ROW(OP_PROJECT_SHOW, "project.show", "GET", "/v1/projects/{name}", VIEWER),
        .doc = "Show a project",
        .args = "NAME",
        .examples = {"blixard project show shop"},
        TAKES(empty), ANSWERS(project)},
    ROW(OP_PROJECT_DELETE, "project.delete", "DELETE", "/v1/projects/{name}", ADMIN),
        .doc = "Remove a project that has neither VMs nor images",
        .args = "NAME",
        .examples = {"blixard project delete shop"},
        .flags = OP_MUTATES | OP_DESTROYS,
        TAKES(delete_request)},

    ROW(OP_TOKEN_CREATE, "token.create", "POST", "/v1/tokens", ADMIN),
        .doc = "Make a token for the API over the network, and show it this once",
        .args = "NAME",
        .examples = {"blixard token create ci --role operator",
                     "blixard token create board --role viewer --ttl 30d"},
        .flags = OP_MUTATES | OP_BY_HAND,
        TAKES(token_request), ANSWERS(token)},
    ROW(OP_TOKEN_LS, "token.ls", "GET", "/v1/tokens", ADMIN),
        .doc = "List tokens",
        .args = "",
        .examples = {"blixard token ls"},
        .flags = OP_LIST,
        TAKES(list_query), ANSWERS(token)},
    ROW(OP_TOKEN_SHOW, "token.show", "GET", "/v1/tokens/{name}", ADMIN),
        .doc = "Show a token, but for its secret",
        .args = "NAME",
        .examples = {"blixard token show ci"},
        TAKES(empty), ANSWERS(token)},
    ROW(OP_TOKEN_REVOKE, "token.revoke", "DELETE", "/v1/tokens/{name}", ADMIN),
        .doc = "End a token at once, with all connections that it opened",
        .args = "NAME",
        .examples = {"blixard token revoke ci", "blixard token revoke ci --yes"},
        .flags = OP_MUTATES | OP_DESTROYS,
        TAKES(revoke_request)},

    ROW(OP_OP_LS, "op.ls", "GET", "/v1/operations", VIEWER),
        .doc = "List operations: what was asked for that takes time",
        .args = "",
        .examples = {"blixard op ls", "blixard op ls --filter phase==running"},
        .flags = OP_LIST,
        TAKES(list_query), ANSWERS(operation)},
    ROW(OP_OP_SHOW, "op.show", "GET", "/v1/operations/{name}", VIEWER),
        .doc = "Show an operation",
        .args = "ID",
        .examples = {"blixard op show 5f3a"},
        TAKES(empty), ANSWERS(operation)},
    ROW(OP_OP_WAIT, "op.wait", "GET", "/v1/operations/{name}/wait", VIEWER),
        .doc = "Wait until an operation has ended, or the time is over",
        .args = "ID",
        .examples = {"blixard op wait 5f3a --timeout 5m"},
        TAKES(operation_wait_query), ANSWERS(operation)},
    ROW(OP_OP_CANCEL, "op.cancel", "DELETE", "/v1/operations/{name}", OPERATOR),
        .doc = "Give up an operation that still runs",
        .args = "ID",
        .examples = {"blixard op cancel 5f3a"},
        .flags = OP_MUTATES,
        TAKES(empty), ANSWERS(operation)},
    ROW(OP_EVENTS, "events", "GET", "/v1/events", VIEWER),
        .doc = "Show what happened, and go on with what happens",
        .args = "",
        .examples = {"blixard events --follow", "blixard events --since 0 --kind vm"},
        .flags = OP_STREAM | OP_BY_HAND,
        TAKES(events_query), ANSWERS(event)},
    ROW(OP_VERSION, "version", "GET", "/v1/version", VIEWER),
        .doc = "Show the versions of the command line and of the node that answers",
        .args = "",
        .examples = {"blixard version"},
        .flags = OP_BY_HAND | OP_PLACED,
        TAKES(empty), ANSWERS(version_info)},
    ROW(OP_OPENAPI, "openapi", "GET", "/v1/openapi.json", VIEWER),
        .doc = "The description of this API as an OpenAPI 3.1 document",
        .args = "",
        .examples = {"blixard api GET /v1/openapi.json"},
        .flags = OP_RAW,
        TAKES(empty)},
    ROW(OP_LIVEZ, "livez", "GET", "/livez", NONE),
        .doc = "Is the daemon alive; ?verbose lists the checks",
        .args = "",
        .examples = {"blixard api GET /livez"},
        .flags = OP_OPEN | OP_RAW,
        TAKES(empty)},
    ROW(OP_READYZ, "readyz", "GET", "/readyz", NONE),
        .doc = "Can the node serve requests; ?verbose lists the checks",
        .args = "",
        .examples = {"blixard api GET /readyz"},
        .flags = OP_OPEN | OP_RAW,
        TAKES(empty)},
    ROW(OP_METRICS, "metrics", "GET", "/metrics", VIEWER),
        .doc = "Metrics as Prometheus text, or OpenMetrics when that is accepted",
        .args = "",
        .examples = {"blixard api GET /metrics"},
        .flags = OP_RAW,
        TAKES(empty)},
};
/* clang-format on */

const struct op *op_table(size_t *ret_count)
{
    *ret_count = OP_COUNT;
    return rows;
}

const struct op *op_get(enum op_id id)
{
    require((size_t)id < OP_COUNT);
    return &rows[id];
}

const struct op *op_find(const char *name)
{
    for (size_t i = 0; i < OP_COUNT; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

/* Does `path` have the form of `pattern`, segment by segment? {name} stands for one that is not
 * empty. */
static bool path_matches(const char *pattern, struct str path, struct str *ret_param)
{
    struct str want = str_from(pattern), wanted, segment;
    for (;;) {
        bool more_want = str_cut(&want, '/', &wanted);
        bool more = str_cut(&path, '/', &segment);
        if (str_is(wanted, "{name}") && segment.len > 0)
            *ret_param = segment;
        else if (!str_eq(wanted, segment))
            return false;
        if (more_want != more)
            return false;
        if (!more)
            return true;
    }
}

static void add_allowed(char allowed[64], const char *method)
{
    size_t len = strlen(allowed);
    (void)snprintf(allowed + len, 64 - len, "%s%s", len > 0 ? ", " : "", method);
}

const struct op *op_route(struct str method, struct str path, struct str *ret_param,
                          char ret_allowed[64])
{
    char allowed[64] = "";
    *ret_param = (struct str){"", 0};
    for (size_t i = 0; i < OP_COUNT; i++) {
        struct str param = {"", 0};
        if (!path_matches(rows[i].path, path, &param))
            continue;
        if (str_is(method, rows[i].method)) {
            *ret_param = param;
            return &rows[i];
        }
        add_allowed(allowed, rows[i].method);
    }
    memcpy(ret_allowed, allowed, sizeof allowed);
    return NULL;
}
