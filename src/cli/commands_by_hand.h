/*
 * commands_by_hand: the commands that have code of their own, one file a noun.
 */
#pragma once

#include "cli/command.h"

/* Any row of the table without code of its own. */
command_run call_run;

command_run vm_console_run, vm_exec_run, vm_logs_run, vm_push_run, vm_pull_run, vm_cp_run;
command_run vm_wait_run;
command_run node_token_run;
command_run token_create_run;
command_run op_wait_run;
command_run events_run;
command_run api_run;
command_run version_run, help_run, completion_run, complete_run;
command_run up_run, join_run;
command_run config_check_run, config_show_run, config_docs_run;
command_run doctor_run;
command_run context_add_run, context_ls_run, context_use_run, context_show_run, context_rm_run;
