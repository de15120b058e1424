/*
 * parts.h - the three that know each other
 *
 * Links carry what engagements bring about, agents deliver into links, and
 * engagements ask both. Each gets a pointer to this, which is filled before
 * the loop runs and outlives them; a member is NULL while the part is not
 * there.
 */
#ifndef TP_MANAGER_PARTS_H
#define TP_MANAGER_PARTS_H

struct agents;
struct engagements;
struct links;

struct parts {
    struct links *links;
    struct agents *agents;
    struct engagements *engagements;
};

#endif
