/*
 * Adds tissue, regions and tiles to every slide of this project. Research use only. Not for diagnosis.
 *
 * Open the project, then Automate > Project scripts > import, and Run once (not "Run for project").
 * Run it again after a new run of wsi-run: tiles and untouched (still locked) annotations are replaced;
 * annotations that you unlocked or drew stay as they are.
 */
import qupath.lib.io.PathIO

def project = getProject()
def current = getCurrentImageData()
def opened = current == null ? null : project.getEntry(current)
def files = [:]
new File(buildFilePath(PROJECT_BASE_DIR, 'objects.tsv')).eachLine('UTF-8') { line ->
    def (id, file) = line.split('\t', 2)
    files[id] = file
}

for (entry in project.getImageList()) {
    def name = files[entry.getID()]
    if (name == null)
        continue
    def file = new File(buildFilePath(PROJECT_BASE_DIR, name))
    if (!file.isFile()) {
        println "${entry.getImageName()}: ${name} is missing; keep the folders qupath and slides side by side"
        continue
    }
    try {
        def imageData = entry == opened ? current : entry.readImageData()
        def hierarchy = imageData.getHierarchy()
        def kept = hierarchy.getAnnotationObjects().findAll { !it.isLocked() }*.getID() as Set
        def added = PathIO.readObjects(file).findAll { !kept.contains(it.getID()) }
        def ids = added*.getID() as Set
        // Ids made from names (version 5) are this tool's, of an earlier run maybe; QuPath draws its own (version 4).
        def before = hierarchy.getAllObjects(false).findAll { ids.contains(it.getID()) || it.isLocked() && it.getID().version() == 5 }
        hierarchy.removeObjects(before, true)
        hierarchy.addObjects(added)
        entry.saveImageData(imageData)
        println "${entry.getImageName()}: ${added.size()} objects"
    } catch (Exception error) {
        println "${entry.getImageName()}: ${error.getMessage()}"
    }
}
