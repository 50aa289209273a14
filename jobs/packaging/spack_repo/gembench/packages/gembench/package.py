"""gembench by Spack 1.0 or later, from a clone:
spack repo add jobs/packaging/spack_repo/gembench && spack dev-build gembench@develop"""

from spack_repo.builtin.build_systems.cmake import CMakePackage
from spack_repo.builtin.build_systems.cuda import CudaPackage

from spack.package import *


class Gembench(CMakePackage, CudaPackage):
    """Measures how long GPUs wait for the slowest one in distributed Mixture-of-Experts serving, and
    places experts so that they wait less."""

    license("MIT")

    version("develop")

    variant("report", default=False, description="Python packages that gembench-report needs")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")

    depends_on("mpi@3:")
    depends_on("hdf5@1.10: +hl")
    depends_on("onednn@2.6:")
    depends_on("boost@1.74: +program_options +math")
    depends_on("fmt@9:")
    depends_on("nlohmann-json@3.11:")
    depends_on("hwloc@2:")
    depends_on("libarchive@3.6:")
    depends_on("libzip@1.7:")
    depends_on("libyaml@0.2:")
    depends_on("zlib-api")
    depends_on("nccl", when="+cuda")

    with when("+report"):
        depends_on("python@3.10:", type="run")
        depends_on("py-h5py", type="run")
        depends_on("py-h5netcdf", type="run")
        depends_on("py-xarray", type="run")

    conflicts("%gcc@:11", msg="gembench is C++20: GCC 12 or later")
    generator("ninja")

    def cmake_args(self):
        args = [
            self.define_from_variant("GEMBENCH_CUDA", "cuda"),
            self.define("GEMBENCH_TESTS", False),
        ]
        architectures = self.spec.variants["cuda_arch"].value if "+cuda" in self.spec else ("none",)
        if "none" not in architectures:
            args.append(self.define("CMAKE_CUDA_ARCHITECTURES", architectures))
        return args

    def setup_run_environment(self, env):
        env.prepend_path("PYTHONPATH", self.prefix.share.gembench.analysis)
        if "+report" in self.spec:
            env.set("GEMBENCH_PYTHON", self.spec["python"].command.path)
