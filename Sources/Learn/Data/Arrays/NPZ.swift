/// NumPy's file of several arrays: a ZIP of NPY files, stored or deflated.
public enum NPZ {
  static let sizeLimit = 1 << 31

  /// The arrays that the options name, as features and targets.
  ///
  /// - Throws: `LearnError.data` for a damaged file, a name that is not there, or arrays that do not belong together.
  public static func dataset(
    _ bytes: [UInt8], options: ArrayOptions = ArrayOptions(), named name: String
  ) throws(LearnError) -> Dataset {
    let members = try ZIP.members(bytes, named: name)
    return try ArrayPair.dataset(
      array(options.features, in: bytes, members, name), array(options.targets, in: bytes, members, name), options)
  }

  /// An array by its name, which is only ever compared with the members' names.
  static func array(
    _ wanted: String, in bytes: [UInt8], _ members: [ZIP.Member], _ name: String, limit: Int = sizeLimit
  ) throws(LearnError) -> NumberArray {
    guard let member = members.first(where: { $0.name == wanted + ".npy" || $0.name == wanted }) else {
      let known = members.prefix(12).map { $0.name.hasSuffix(".npy") ? String($0.name.dropLast(4)) : $0.name }
      throw .data(
        "\(name) has no array '\(wanted)'; it has \(known.joined(separator: ", "))" + (members.count > 12 ? ", …" : ""))
    }
    let content = try ZIP.content(of: member, in: bytes, named: name, limit: limit)
    return try NPY.read(content, named: "\(name): \(wanted)", limit: limit)
  }
}
