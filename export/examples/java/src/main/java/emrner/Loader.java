package emrner;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import org.tensorflow.TensorFlow;
import org.tensorflow.exceptions.TensorFlowException;

/** Reads records from standard input and prints the entities that a bundle finds; export/examples/README.md. */
public final class Loader {
  private Loader() {}

  public static void main(String[] arguments) {
    if (arguments.length != 1) {
      System.err.println("usage: java emrner.Loader BUNDLE_VERSION_DIRECTORY < RECORDS");
      System.exit(2);
    }
    try (Bundle bundle = new Bundle(arguments[0])) {
      System.err.println("TensorFlow " + TensorFlow.version());
      annotate(bundle, new BufferedInputStream(System.in), System.out);
    } catch (IOException | IllegalArgumentException | IllegalStateException | TensorFlowException error) {
      System.err.println("loader: " + error.getMessage());
      System.exit(1);
    }
  }

  private static void annotate(Bundle bundle, InputStream in, PrintStream out) throws IOException {
    int record = 0;
    for (byte[] text = next(in, record); text != null; text = next(in, ++record)) {
      StringBuilder lines = new StringBuilder();
      int count = 0;
      for (Bundle.Entity entity : bundle.entities(text)) {
        count++;
        lines.append(
            String.format(
                Locale.ROOT,
                "%d\t%d\t%s\t%.6f\n",
                entity.start(),
                entity.end(),
                entity.label(),
                entity.score()));
      }
      out.write((count + "\n" + lines).getBytes(StandardCharsets.UTF_8));
      // A PrintStream throws nothing when the disk is full.
      if (out.checkError()) {
        throw new IOException("standard output: cannot be written");
      }
    }
  }

  /** Returns the bytes of the next record, or null at the end of the input. */
  private static byte[] next(InputStream in, int record) throws IOException {
    long size = 0;
    int digits = 0;
    int read = in.read();
    if (read < 0) {
      return null;
    }
    for (; read >= '0' && read <= '9' && digits < 9; digits++) {
      size = 10 * size + (read - '0');
      read = in.read();
    }
    if (digits == 0 || read != '\n') {
      throw new IOException(
          "standard input: record " + record + ": must begin with a line of at most 9 digits, its number of bytes");
    }
    byte[] text = in.readNBytes((int) size);
    if (text.length < size) {
      throw new IOException(
          "standard input: record " + record + ": must have " + size + " bytes, got " + text.length);
    }
    return text;
  }
}
