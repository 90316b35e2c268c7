/* The security descriptor of a job's files. */
#include "relay/stage/filesd.h"

#include "relay/sd/sd.h"

/* [MS-DTYP] 2.4.2.4 well-known SIDs */
static const struct sid sid_local_service = {.authority = 5, .sub_count = 1, .sub = {19}};
static const struct sid sid_network_service = {.authority = 5, .sub_count = 1, .sub = {20}};
static const struct sid sid_users = {.authority = 5, .sub_count = 2, .sub = {32, 545}};

/* Who runs the task, as far as the descriptor doesn't name it anyway. */
static const struct sid *reader_of(enum run_as run_as)
{
    switch (run_as) {
    case RUN_AS_LOCAL_SERVICE:
        return &sid_local_service;
    case RUN_AS_NETWORK_SERVICE:
        return &sid_network_service;
    case RUN_AS_USER:
        return &sid_users; /* whoever is logged on */
    case RUN_AS_SYSTEM:
    case RUN_AS_COUNT:
        break;
    }
    return NULL;
}

void filesd_build(struct buf *out, const struct job *job)
{
    sd_build_file(out, reader_of(job->run_as));
}

void filesd_build_folder(struct buf *out, const struct job *job)
{
    sd_build_folder(out, reader_of(job->run_as));
}

void filesd_build_output(struct buf *out, const struct job *job)
{
    sd_build_output(out, reader_of(job->run_as));
}
