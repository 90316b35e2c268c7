/* Removing files of a job from C:\SPDISTRO, one after the other, over a session's C$. What isn't
 * there, isn't ours or is in use is no failure: the text says what became of each.
 */
#ifndef PUSHER_RELAY_STAGE_SWEEP_H
#define PUSHER_RELAY_STAGE_SWEEP_H

#include "common/pkg/digest.h"
#include "relay/stage/session.h"

#define SWEEP_FILES_MAX 5
#define SWEEP_STEP 0x40U /* steps from here on are answers for sweep_reply */

enum sweep_end {
    SWEEP_WAITS,
    SWEEP_ABSENT, /* not there */
    SWEEP_REMOVED,
    SWEEP_OTHER,   /* has other bytes than the job's package: not ours */
    SWEEP_FOLDER,  /* a folder: what is in it is not known to be ours alone */
    SWEEP_IN_USE,  /* somebody has it open, or runs it */
    SWEEP_REFUSED, /* any other error: `status` */
};

struct sweep_file {
    char name[LIMIT_PACKAGE_NAME_SIZE];
    bool package; /* removed only when it has the package's size and, with --verify, digest */
    enum sweep_end end;
    uint32_t status; /* NTSTATUS of SWEEP_IN_USE and SWEEP_REFUSED */
};

struct sweep {
    struct sweep_file files[SWEEP_FILES_MAX];
    uint32_t count;
    uint32_t at;   /* the one in work */
    uint32_t stop; /* where this run ends */
    struct smb_file handle;
    struct digest *digest; /* while the package is read; owned */
    uint64_t offset;
    void (*over)(struct session *session);
};

void sweep_add(struct sweep *sweep, const char *name, bool package);
/* Removes the next `count` files, then calls `over`, maybe at once. `sweep` stays until then. */
void sweep_run(struct session *session, struct sweep *sweep, uint32_t count,
               void (*over)(struct session *session));
void sweep_reply(struct session *session, struct sweep *sweep, const struct smb_reply *reply);
void sweep_release(struct sweep *sweep);
/* "removed setup.exe, .pusher-...; stays: x (in use)"; "" when nothing was there. Returns `text`.
 */
char *sweep_text(const struct sweep *sweep, char *text, size_t size);
/* Only what stays: "x stays (in use)"; "" when nothing does. Returns `text`. */
char *sweep_rest_text(const struct sweep *sweep, char *text, size_t size);
bool sweep_any(const struct sweep *sweep, enum sweep_end end);

#endif
