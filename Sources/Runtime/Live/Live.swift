/// live
