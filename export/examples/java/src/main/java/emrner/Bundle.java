package emrner;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.tensorflow.Result;
import org.tensorflow.SavedModelBundle;
import org.tensorflow.Tensor;
import org.tensorflow.TensorFunction;
import org.tensorflow.ndarray.NdArray;
import org.tensorflow.ndarray.NdArrays;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TString;

/** A version of a bundle, in memory; usable from several threads. */
public final class Bundle implements AutoCloseable {
  /** A mention: half-open offsets in Unicode code points of the text, its label and its probability. */
  public record Entity(int start, int end, String label, float score) {}

  private final SavedModelBundle model;
  private final TensorFunction function;

  /** Loads the directory of a version, which contains saved_model.pb. */
  public Bundle(String directory) {
    model = SavedModelBundle.load(directory, SavedModelBundle.DEFAULT_TAG);
    // The function reads the names of the graph's tensors from the signature.
    function = model.function("serving_default");
  }

  /**
   * Returns the entities of a text.
   *
   * @param text UTF-8; bytes that are not count as U+FFFD, as Python's errors="replace" decodes them
   * @throws IllegalStateException the signature failed; the message has no part of the text
   */
  public List<Entity> entities(byte[] text) {
    NdArray<byte[]> batch = NdArrays.ofObjects(byte[].class, Shape.of(1)).setObject(text, 0);
    try (TString input = TString.tensorOfBytes(batch);
        Result outputs = call(input)) {
      int count = ((TInt32) output(outputs, "num_entities")).getInt(0);
      TInt32 start = (TInt32) output(outputs, "start");
      TInt32 end = (TInt32) output(outputs, "end");
      NdArray<byte[]> label = ((TString) output(outputs, "label")).asBytes();
      TFloat32 score = (TFloat32) output(outputs, "score");
      List<Entity> entities = new ArrayList<>(count);
      for (int i = 0; i < count; i++) {
        String name = new String(label.getObject(0, i), StandardCharsets.UTF_8);
        entities.add(new Entity(start.getInt(0, i), end.getInt(0, i), name, score.getFloat(0, i)));
      }
      return entities;
    }
  }

  @Override
  public void close() {
    model.close();
  }

  private Result call(TString text) {
    try {
      return function.call(Map.of("text", text));
    } catch (RuntimeException error) {
      // TensorFlow's exceptions have no common class. Their message may contain the text, so the class is reported.
      throw new IllegalStateException("serving_default failed with " + error.getClass().getSimpleName());
    }
  }

  private static Tensor output(Result outputs, String name) {
    return outputs
        .get(name)
        .orElseThrow(() -> new IllegalArgumentException("serving_default has no output " + name));
  }
}
