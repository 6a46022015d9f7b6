"""OpenVINO's stateful attention, whose cache is the state of an infer request."""

from ..scheme import Scheme

SCHEME = Scheme(
    "openvino",
    title="OpenVINO",
    module="cache",
    cls="OpenvinoCache",
    probes=("openvino",),
    needs="openvino",
    example="openvino:u8",
)
