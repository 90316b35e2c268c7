/* One put and one take per message kind: the rows of wire.c's table. */
#ifndef PUSHER_WIRE_BODIES_H
#define PUSHER_WIRE_BODIES_H

#include "common/model/message.h"
#include "common/wire/parts.h"

/* Turns the message's member into its generated struct; NULL only when the coder has failed. */
typedef void *body_put(struct coder *c, const struct message *message);
/* Fills the message's member, which is zeroed, from its generated struct. On failure the message
 * may be half filled, but message_release works on it. */
typedef void body_take(struct coder *c, const void *body, struct message *message);

body_put put_hello, put_heartbeat, put_results, put_welcome, put_heartbeat_ack, put_job_offer,
    put_lease, put_results_ack, put_push_ref, put_chunk_request, put_chunk;
body_take take_hello, take_heartbeat, take_results, take_welcome, take_heartbeat_ack,
    take_job_offer, take_lease, take_results_ack, take_push_ref, take_chunk_request, take_chunk;

body_put put_package_offer, put_package_data, put_push_begin, put_push_targets, put_push_commit,
    put_push_stop, put_empty, put_status_get, put_report_get;
body_take take_package_offer, take_package_data, take_push_begin, take_push_targets,
    take_push_commit, take_push_stop, take_empty, take_status_get, take_report_get;

body_put put_ok, put_fail, put_package_want, put_relays, put_status, put_report_rows,
    put_report_end, put_list;
body_take take_ok, take_fail, take_package_want, take_relays, take_status, take_report_rows,
    take_report_end, take_list;

body_put put_enroll, put_enrolled, put_job_get, put_lint, put_object, put_objects, put_objects_get,
    put_package_ref, put_packages, put_peer, put_permit, put_permit_get, put_push_credentials,
    put_relay_set, put_routes, put_routes_get, put_site_put, put_site_ref, put_sites, put_sites_get,
    put_token, put_token_put, put_relays_get, put_parts_get, put_parts;
body_take take_enroll, take_enrolled, take_job_get, take_lint, take_object, take_objects,
    take_objects_get, take_package_ref, take_packages, take_peer, take_permit, take_permit_get,
    take_push_credentials, take_relay_set, take_routes, take_routes_get, take_site_put,
    take_site_ref, take_sites, take_sites_get, take_token, take_token_put, take_relays_get,
    take_parts_get, take_parts;

#endif
