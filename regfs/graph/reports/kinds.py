"""What a blob is, as the index tells: by what refers to it, by what it says itself, by its first bytes.

Pieces of statements that read from `blob`, with `manifest` and `content` joined to it.
"""

from __future__ import annotations

from regfs.graph.index import Role

#: The edges by which a blob is named as config or layer, directly or by an alias.
NAMED_AS = f"""
    FROM (
        SELECT source, role, position, media_type FROM edge WHERE target = id AND role < {Role.CHILD:d}
        UNION ALL
        SELECT named.source, named.role, named.position, named.media_type FROM edge AS alias
        JOIN edge AS named ON named.target = alias.source AND named.role < {Role.CHILD:d}
        WHERE alias.target = id AND alias.role = {Role.ALIAS:d}
    ) AS named
"""

# Images may name one blob by different media types: the tagged ones first, then the order of their digests.
_FIRST = f"""
    {NAMED_AS} JOIN blob AS holder ON holder.id = named.source
    LEFT JOIN held AS holding ON holding.blob = named.source
    ORDER BY holding.state, holder.digest, role, position LIMIT 1
"""

#: `image`, `index`, what an artifact is (`signature`, `chart`…), `config`, `layer`; empty for what nothing
#: names.
KIND = f"""
    coalesce(
        manifest.kind,
        (SELECT CASE role WHEN {Role.CONFIG:d} THEN 'config' ELSE 'layer' END {_FIRST}),
        ''
    )
"""

MEDIA_TYPE = f"""
    coalesce(nullif(manifest.media_type, ''), (SELECT named.media_type {_FIRST}), content.media_type, '')
"""
