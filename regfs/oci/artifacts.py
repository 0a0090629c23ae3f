"""What a manifest is that is no image of files: a signature, an SBOM, a chart, a model.

Told by media types, as their makers document them: cosign's specs/, sigstore's bundle, Notary Project's
signature-specification, in-toto, SPDX, CycloneDX, Helm ("Registries"), ModelPack's model-spec,
docker/model-runner, ollama, BuildKit's cache and attestation-storage.md, Singularity's SIF, Open Policy
Agent ("OCI").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from regfs.oci import media_types
from regfs.oci.media_types import bare

#: How media types of artifacts begin, and the word for such an artifact.
_WORDS = (
    ("application/vnd.dev.cosign.simplesigning.", "signature"),
    ("application/vnd.dev.cosign.artifact.sig.", "signature"),
    ("application/vnd.dev.cosign.artifact.att.", "attestation"),
    ("application/vnd.dev.cosign.artifact.sbom.", "sbom"),
    ("application/vnd.dev.sigstore.bundle", "signature"),
    ("application/vnd.cncf.notary.", "signature"),
    ("application/pgp-signature", "signature"),
    ("application/vnd.in-toto", "attestation"),
    ("application/vnd.dsse.envelope.", "attestation"),
    ("application/vnd.docker.attestation.", "attestation"),
    ("application/spdx", "sbom"),
    ("text/spdx", "sbom"),
    ("application/vnd.cyclonedx", "sbom"),
    ("application/vnd.syft", "sbom"),
    ("application/vnd.cncf.helm.", "chart"),
    ("application/wasm", "wasm"),
    ("application/vnd.wasm.", "wasm"),
    ("application/vnd.module.wasm.", "wasm"),
    ("application/vnd.cncf.model.", "model"),
    ("application/vnd.cnai.model.", "model"),
    ("application/vnd.docker.ai.", "model"),
    ("application/vnd.ollama.", "model"),
    ("application/vnd.kitops.modelkit.", "model"),
    (media_types.BUILDKIT_CACHE, "cache"),
    ("application/vnd.cncf.openpolicyagent.", "policy"),
    ("application/vnd.sylabs.sif.", "singularity"),
)

#: Forms of a media type that are text or data, whatever the type is.
_DATA = ("+json", "/json", "+xml", "/xml", "+yaml", "/yaml", "+wasm")

#: Types that say nothing of what an artifact is: none, what ORAS writes where it is given none, and what OCI
#: image-spec (manifest.md, "Guidance for an Empty Descriptor") has for a config that there is not.
_SAY_NOTHING = frozenset(
    {
        "",
        "application/vnd.oci.empty.v1+json",
        "application/vnd.unknown.artifact.v1",
        "application/vnd.unknown.config.v1+json",
        *media_types.IMAGE_CONFIGS,
        *media_types.MISNAMED_CONFIGS,
    }
)

#: RFC 6838, 4.2: type and subtype. What is none is quoted nowhere.
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\Z")

#: sigstore's bundle says in an annotation what the statement in it is; cosign's own is that of a signature.
_PREDICATE = "dev.sigstore.bundle.predicateType"
_COSIGN_SIGN = "https://sigstore.dev/cosign/sign/"


def no_tar(media_type: str) -> bool:
    """Tell whether a layer's media type says that it is no tar; one that is not known says nothing."""
    name = bare(media_type)
    if name in media_types.MISNAMED_CONFIGS or media_types.suffix(name).startswith(".tar"):
        return False
    return bool(_word(name)) or name.endswith(_DATA) or name.startswith("text/")


def telling_type(artifact_type: str, config_type: str, layer_types: Sequence[str]) -> str:
    """Choose the media type that tells what an artifact is: its own, its config's, its first layer's.

    The first that says something; else the first that is there, and is a media type; else none.
    """
    named = [name for name in map(bare, (artifact_type, config_type)) if _MEDIA_TYPE.match(name)]
    layers = [name for name in map(bare, layer_types) if _MEDIA_TYPE.match(name)]
    contents = [name for name in layers if not media_types.suffix(name).startswith(".tar") or _word(name)]
    said = (name for name in (*named, *contents) if name not in _SAY_NOTHING)
    return next(said, (*named, *layers, "")[0])


def kind_of(telling: str, annotations: Mapping[str, str]) -> str:
    """Name the kind of artifact that a media type tells: a word, or `artifact: <type>`, or `artifact`."""
    word = _word(telling)
    if telling.startswith("application/vnd.dev.sigstore.bundle"):
        predicate = annotations.get(_PREDICATE, "")
        return "attestation" if predicate and not predicate.startswith(_COSIGN_SIGN) else word
    return word or (f"artifact: {telling}" if telling else "artifact")


def _word(name: str) -> str:
    if name.endswith("+wasm"):
        return "wasm"
    return next((word for start, word in _WORDS if name.startswith(start)), "")
