#pragma once

#include <boost/program_options.hpp>
#include <string>

#include "harness/options.hpp"

namespace gembench {

/// The options of a subcommand in the groups its help shows; parsing writes into `options`, which
/// must outlive the description. Usage errors of single values are thrown while they are stored.
[[nodiscard]] boost::program_options::options_description options_of(const std::string& command,
                                                                     Options& options);

}  // namespace gembench
