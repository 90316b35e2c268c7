/* The commands of `pusher`: each takes the words after its name and returns the exit status. */
#ifndef PUSHER_CLI_COMMANDS_H
#define PUSHER_CLI_COMMANDS_H

int command_package(int argc, char *const *argv);
int command_push(int argc, char *const *argv);
int command_report(int argc, char *const *argv);
int command_why(int argc, char *const *argv);
int command_list(int argc, char *const *argv);
int command_show(int argc, char *const *argv);
int command_status(int argc, char *const *argv);
int command_cleanup(int argc, char *const *argv);
int command_site(int argc, char *const *argv);
int command_key(int argc, char *const *argv);
int command_policy(int argc, char *const *argv);
int command_never_touch(int argc, char *const *argv);
int command_cancel(int argc, char *const *argv);
int command_pause(int argc, char *const *argv);
int command_resume(int argc, char *const *argv);
int command_retry(int argc, char *const *argv);
int command_relay(int argc, char *const *argv);
int command_cred(int argc, char *const *argv);

/* "pusher 0.1.0". */
void print_version(void);

#endif
