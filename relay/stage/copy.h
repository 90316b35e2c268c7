/* Shared by the files of stage 5: copy.c moves the bytes, copy_name.c takes the final name,
 * copy_folder.c goes from file to file of a package that has several. */
#ifndef PUSHER_RELAY_STAGE_COPY_H
#define PUSHER_RELAY_STAGE_COPY_H

#include "relay/stage/session.h"

#define COPY_HELD_TRIES 3 /* looks at a file that others hold */
#define COPY_HELD_PAUSE_MS 1500

enum copy_step {
    COPY_CREATE = 1,
    COPY_MARK,   /* for deletion, with COPY_CREATE; later its answer doesn't matter ... */
    COPY_UNMARK, /* ... but here: a file that stays marked goes when it is closed */
    COPY_ALLOCATE,
    COPY_WRITE,
    COPY_FLUSH,
    COPY_VERIFY,
    COPY_RENAME,
    COPY_NAMED, /* renamed; COPY_UNMARK's answer is out */
    COPY_CLOSE,
    COPY_PROBE,       /* who holds the final name? */
    COPY_PROBE_CLEAR, /* its read-only attribute */
    COPY_PROBE_CLOSE,
    COPY_FOLDER, /* of a package of several files, with the two after it */
    COPY_FOLDER_SECURITY,
    COPY_FOLDER_CLOSE,
    COPY_ABANDON, /* closing the marked temporary file after a failure */
};

/* What a look at the final name is for. */
enum probe {
    PROBE_FIRST,   /* before anything is copied: a running program can't be opened for writing */
    PROBE_RENAME,  /* renaming was refused: held, read-only, or rights? */
    PROBE_RUNNING, /* still no cause: was it started meanwhile? */
};

struct copy_state {
    enum copy_step step;    /* what is being waited for */
    enum probe why;         /* of COPY_PROBE and the two after it */
    uint32_t entry;         /* of a package of several files: the one in work */
    uint32_t folder_end;    /* bytes of its path that are folders and there; see copy_folder.c */
    uint32_t folder_status; /* NTSTATUS of the folder in work; an error ends the stage */
    uint64_t base;          /* where the file begins in the package */
    uint64_t size;          /* of the file: all of the package, if it is one */
    uint64_t before;        /* bytes of the files before it */
    struct smb_file file;
    struct smb_file probe;
    bool open;             /* the temporary file is */
    uint64_t sent;         /* bytes handed to the engine */
    uint64_t acknowledged; /* bytes the server wrote */
    uint64_t compared;     /* --verify: bytes read back and equal */
    uint64_t asked;        /* --verify: bytes asked for */
    bool streaming;        /* counted in the runner's copying_count */
    bool along;            /* the package goes with the making of its file */
    bool paused;           /* until the rate of all copies lets it go on */
    bool flush_sent;       /* with the only write */
    uint32_t held_tries;
    bool cleared_readonly;   /* of the final file ... */
    bool renamed_again;      /* ... and tried after that */
    uint32_t unmark_waiting; /* answers to COPY_UNMARK that are out */
    uint32_t unmark_status;  /* NTSTATUS of the last one */
    bool failing;            /* the rest is clean-up; the outcome: */
    enum reason reason;
    enum code_kind kind;
    uint32_t code;
    char text[LIMIT_DETAIL_SIZE];
};

/* --- copy.c --- */

/* The low half of a tag: the step, and above it the piece (its size, or its number). */
uint64_t copy_tag(const struct session *session, enum copy_step step, uint32_t piece);
/* What a request function returned; a request that can't be made ends the stage. */
void copy_requested(struct session *session, int status, const struct err *err);
/* Makes the temporary file and marks it for deletion. */
void copy_create(struct session *session);
/* The stage fails: the temporary file is deleted first. */
void copy_fail(struct session *session, enum reason reason, enum code_kind kind, uint32_t code,
               const char *text);
void copy_fail_status(struct session *session, uint32_t status, const char *what);

/* --- copy_folder.c --- */

/* Begins with the first file of a package that has several. */
void copy_folder_begin(struct session *session);
/* The file in work is done. False: it was the last or only one. */
bool copy_folder_next(struct session *session);
/* Answers to COPY_FOLDER, COPY_FOLDER_SECURITY and COPY_FOLDER_CLOSE. */
void copy_folder_reply(struct session *session, const struct smb_reply *reply);
/* Below C$, the final name of the file in work. */
void copy_final_path(const struct session *session, char path[SMB_PATH_SIZE_MAX]);
/* `text` with the name of the file in work, if it is one of several. Returns `to`. */
char *copy_say(const struct session *session, const char *text, char to[LIMIT_DETAIL_SIZE]);

/* --- copy_name.c --- */

/* Asks who holds the final name; goes on as copy->why says. */
void copy_probe(struct session *session);
/* Gives the temporary file, whole and flushed, its final name. */
void copy_take_name(struct session *session);
/* Answers to COPY_UNMARK, COPY_RENAME, COPY_PROBE, COPY_PROBE_CLEAR and COPY_PROBE_CLOSE. */
void copy_unmarked(struct session *session, const struct smb_reply *reply);
void copy_renamed(struct session *session, const struct smb_reply *reply);
void copy_probed(struct session *session, const struct smb_reply *reply);
void copy_probe_close(struct session *session);
void copy_probe_closed(struct session *session);

#endif
